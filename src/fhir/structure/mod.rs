//! Structure of a resource.

mod resource_type;

pub(crate) use self::resource_type::resource_type;
