//! What queries ask.
