//! The body of a `$submit-attachment`, written piece by piece: the Parameters around the contents, the contents as they
//! are stored, and the bytes of attachments as base64 straight from the upload store. The memory that it takes does not
//! depend on how long they are (design 4.1).

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

use super::gather::Ready;
use super::records::{Record, Records};
use crate::auth::Access;
use crate::cdex::OwnUploads;
use crate::cdex::attachment_request::{AttachmentRequest, Needed};
use crate::cdex::signature::SignError;
use crate::db::DbError;
use crate::exchange::Exchange;
use crate::exchange::check_signatures::LARGEST;
use crate::exchange::follow_agenda::FollowError;
use crate::exchange::interaction::Requester;
use crate::fhir::base64::Encoder;
use crate::fhir::reference::is_absolute;
use crate::fhir::search::reference::Target;
use crate::fhir::{Spool, SpoolError, Spooled};
use crate::id::UploadId;
use crate::screening;
use crate::upload::{ContentReader, Source, SourceError, Sources, UploadSpool, UploadState};

/// Why no body was written. Nothing of it stays.
#[derive(Debug, thiserror::Error)]
pub(in crate::exchange) enum ComposeError {
    /// An attachment leads to nothing that can be read; of an answer, what it answers is of this index in
    /// [`AttachmentRequest::needed`].
    #[error("an attachment leads to nothing that can be read")]
    Unreadable(usize),
    /// What answers must be signed and cannot be: it is too long, or has a number that no signature covers.
    #[error("a resource cannot be signed")]
    Unsignable(usize),
    /// The records cannot be looked at now.
    #[error(transparent)]
    Records(#[from] FollowError),
    /// What is here cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What is written cannot be kept.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// It may be written later.
impl From<ComposeError> for FollowError {
    fn from(error: ComposeError) -> Self {
        match error {
            ComposeError::Records(error) => error,
            ComposeError::Db(error) => error.into(),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

/// A stretch of the body.
enum Piece {
    /// Text.
    Text(Bytes),
    /// Bytes of a resource, as base64.
    Content(UploadId, u64),
    /// Bytes of an upload, as base64.
    Upload(UploadId),
}

/// Bytes on their way out of the upload store.
enum Reader {
    Content(ContentReader),
    Upload(Box<dyn Source>),
}

/// A piece on its way.
enum Reading {
    /// What is left of a text.
    Text(Bytes),
    /// Bytes, and what encodes them; nothing after their end.
    Encoded(Option<(Reader, Encoder)>),
}

impl Reading {
    /// The next stretch of its text.
    async fn next(&mut self) -> Result<Option<Bytes>, SourceError> {
        let (reader, encoder) = match self {
            Self::Text(text) => return Ok(Some(std::mem::take(text)).filter(|text| !text.is_empty())),
            Self::Encoded(None) => return Ok(None),
            Self::Encoded(Some(encoded)) => (&mut encoded.0, &mut encoded.1),
        };
        let block = match reader {
            Reader::Content(reader) => reader.next().await?,
            Reader::Upload(source) => source.next().await?,
        };
        if let Some(block) = block {
            return Ok(Some(encoder.encode(&block).into()));
        }
        let Self::Encoded(encoded) = self else { return Ok(None) };
        Ok(encoded.take().map(|(_, encoder)| encoder.finish().into()))
    }
}

/// Writes the body that answers a request with these resources into a spool of `owner`'s.
pub(super) async fn compose(
    exchange: &Exchange,
    records: &Records<'_>,
    owner: &Access,
    request: &AttachmentRequest,
    (ready, is_last): (&[Ready], bool),
) -> Result<(UploadSpool, Spooled), ComposeError> {
    let writing = Writing { exchange, records };
    let mut spool = exchange.uploads.spool(owner);
    spool.begin().await?;
    let written = writing.body(&mut spool, request, (ready, is_last)).await;
    ended(spool, written).await
}

impl Exchange {
    /// Writes Parameters that somebody else wrote into a spool of that owner's, with the bytes that their attachments
    /// name here, as far as `requester` may see them.
    pub(in crate::exchange) async fn compose_submission(
        &self,
        requester: &Requester,
        mut parameters: Value,
    ) -> Result<(UploadSpool, Spooled), ComposeError> {
        let owner = requester.access();
        let records = Records::seen_by(self, requester.clone());
        let writing = Writing { exchange: self, records: &records };
        let mut marks = Marks::default();
        let attachments = parameters.get_mut("parameter").and_then(Value::as_array_mut).into_iter().flatten();
        for (index, attachment) in attachments.enumerate() {
            let parts = attachment.get_mut("part").and_then(Value::as_array_mut).into_iter().flatten();
            for content in parts.filter_map(|part| part.get_mut("resource")) {
                if !writing.fill_all(content, &mut marks).await? {
                    return Err(ComposeError::Unreadable(index));
                }
            }
        }
        let mut spool = self.uploads.spool(&owner);
        spool.begin().await?;
        let written = writing.write_all(&mut spool, marks.split(&parameters.to_string())).await;
        ended(spool, written).await
    }
}

/// Ends a spool into which everything was written, or removes it.
async fn ended(
    mut spool: UploadSpool,
    written: Result<(), ComposeError>,
) -> Result<(UploadSpool, Spooled), ComposeError> {
    match written {
        Ok(()) => {
            let spooled = spool.end().await?;
            Ok((spool, spooled))
        }
        Err(error) => {
            spool.give_up().await;
            Err(error)
        }
    }
}

struct Writing<'w> {
    exchange: &'w Exchange,
    records: &'w Records<'w>,
}

impl Writing<'_> {
    async fn body(
        &self,
        spool: &mut UploadSpool,
        request: &AttachmentRequest,
        (ready, is_last): (&[Ready], bool),
    ) -> Result<(), ComposeError> {
        spool.write(request.opening().into()).await?;
        for Ready { needed, record, is_attested } in ready {
            spool.write(request.needed[*needed].opening().into()).await?;
            let mut pieces = self.pieces(*needed, record).await?;
            if *is_attested {
                pieces = vec![Piece::Text(self.attested(request, *needed, pieces).await?)];
            }
            self.write_all(spool, pieces).await?;
            spool.write(Needed::CLOSING.into()).await?;
        }
        Ok(spool.write(AttachmentRequest::closing(is_last).into()).await?)
    }

    /// A resource as it goes out. What has all its bytes in its text goes as it is stored, so that a signature in it
    /// holds on the other side.
    async fn pieces(&self, needed: usize, record: &Record) -> Result<Vec<Piece>, ComposeError> {
        let mut tree = record.tree.clone();
        let mut marks = Marks::default();
        if !self.fill_all(&mut tree, &mut marks).await? {
            return Err(ComposeError::Unreadable(needed));
        }
        if tree["resourceType"] == "Binary"
            && let Some(id) = record.bytes
        {
            let length = self.content_length(id).await?.ok_or(ComposeError::Unreadable(needed))?;
            tree["data"] = marks.set(Piece::Content(id, length));
        }
        if tree == record.tree {
            return Ok(vec![Piece::Text(record.text.clone())]);
        }
        Ok(marks.split(&tree.to_string()))
    }

    /// Puts the bytes of the attachments of a document where their URLs are, as [`Self::fill`] does. Other resources
    /// stay as they are.
    async fn fill_all(&self, document: &mut Value, marks: &mut Marks) -> Result<bool, ComposeError> {
        if document["resourceType"] != "DocumentReference" {
            return Ok(true);
        }
        let contents = document.get_mut("content").and_then(Value::as_array_mut);
        for content in contents.into_iter().flatten() {
            if let Some(attachment) = content.get_mut("attachment").and_then(Value::as_object_mut)
                && !self.fill(attachment, marks).await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A resource in a Bundle with the signature of the gateway's organisation (cdex.md 8.1). What is signed is held
    /// whole, so it is not longer than what a receiver verifies.
    async fn attested(
        &self,
        request: &AttachmentRequest,
        needed: usize,
        pieces: Vec<Piece>,
    ) -> Result<Bytes, ComposeError> {
        let mut text = BytesMut::new();
        for piece in pieces {
            let mut reading = self.read(piece).await?;
            while let Some(block) = reading.next().await? {
                if (text.len() + block.len()) as u64 > LARGEST {
                    return Err(ComposeError::Unsignable(needed));
                }
                text.extend_from_slice(&block);
            }
        }
        let member = &request.member_id;
        let mut identifier = json!({ "value": member.value });
        if let Some(system) = &member.system {
            identifier["system"] = system.as_str().into();
        }
        let subject = json!({ "type": "Patient", "identifier": identifier });
        let stopping = |_| FollowError::Unavailable("the gateway is stopping".to_owned());
        match self.exchange.attest(text.freeze(), subject).await.map_err(stopping)? {
            Ok(signed) if signed.len() as u64 <= LARGEST => Ok(signed),
            Ok(_) | Err(SignError::Unsignable) => Err(ComposeError::Unsignable(needed)),
            // Somebody has to see to the key or its certificate; the Task waits for that.
            Err(error) => Err(FollowError::Unavailable(error.to_string()).into()),
        }
    }

    /// Puts the bytes of an attachment where its URL is, if they are ours; `false` if the URL leads to nothing.
    async fn fill(
        &self,
        attachment: &mut Map<String, Value>,
        marks: &mut Marks,
    ) -> Result<bool, ComposeError> {
        let Some(url) = attachment.get("url").and_then(Value::as_str) else { return Ok(true) };
        if attachment.contains_key("data") {
            return Ok(true);
        }
        let origins =
            self.exchange.settings.fhir_base.strip_suffix("/fhir").map(str::to_owned).into_iter().collect();
        if let Some(id) = (OwnUploads { origins }).upload(url) {
            if !self.may_go_out(id).await? {
                return Ok(false);
            }
            attachment.insert("data".to_owned(), marks.set(Piece::Upload(id)));
            attachment.remove("url");
            return Ok(true);
        }
        let Target::Local { resource_type: "Binary", id } =
            Target::of(url.trim_start_matches('/'), &self.exchange.settings.fhir_base)
        else {
            // What lies on another server the payer can fetch there.
            return Ok(is_absolute(url));
        };
        let Some(binary) = self.records.read("Binary", id).await? else { return Ok(false) };
        let data = match binary.bytes {
            Some(id) => {
                let Some(length) = self.content_length(id).await? else { return Ok(false) };
                marks.set(Piece::Content(id, length))
            }
            None => match binary.tree.get("data") {
                Some(data) => data.clone(),
                None => return Ok(false),
            },
        };
        if let Some(media_type) =
            binary.tree.get("contentType").filter(|_| !attachment.contains_key("contentType"))
        {
            attachment.insert("contentType".to_owned(), media_type.clone());
        }
        attachment.remove("url");
        attachment.insert("data".to_owned(), data);
        Ok(true)
    }

    /// Whether an upload is whole, and nothing keeps it back.
    async fn may_go_out(&self, id: UploadId) -> Result<bool, ComposeError> {
        let access = self.records.access();
        let upload = self.exchange.uploads.find(access, id).await?;
        let mut reader = self.exchange.db.reader().await?;
        let screened = screening::find(&mut reader.tx(), access, id).await?;
        Ok(upload.is_some_and(|upload| upload.state == UploadState::Complete)
            && !screened.is_some_and(|screened| screened.is_held))
    }

    async fn content_length(&self, id: UploadId) -> Result<Option<u64>, ComposeError> {
        let found = self.exchange.uploads.find_content(self.records.access(), id).await?;
        Ok(found.map(|content| content.length))
    }

    async fn write_all(&self, spool: &mut UploadSpool, pieces: Vec<Piece>) -> Result<(), ComposeError> {
        for piece in pieces {
            self.write(spool, piece).await?;
        }
        Ok(())
    }

    async fn write(&self, spool: &mut UploadSpool, piece: Piece) -> Result<(), ComposeError> {
        let mut reading = self.read(piece).await?;
        while let Some(text) = reading.next().await? {
            spool.write(text).await?;
        }
        Ok(())
    }

    /// The text of a piece, block by block.
    async fn read(&self, piece: Piece) -> Result<Reading, SourceError> {
        let uploads = &self.exchange.uploads;
        let bytes = match piece {
            Piece::Text(text) => return Ok(Reading::Text(text)),
            Piece::Content(id, length) => {
                Reader::Content(uploads.read_content(self.records.access(), id, (0, length)).await?)
            }
            Piece::Upload(id) => Reader::Upload(uploads.open(self.records.access(), id).await?),
        };
        Ok(Reading::Encoded(Some((bytes, Encoder::default()))))
    }
}

/// Marks in a tree where bytes go. A mark is a random identifier, so that no text that somebody sent is one.
#[derive(Default)]
struct Marks(Vec<(String, Piece)>);

impl Marks {
    /// A mark for these bytes.
    fn set(&mut self, piece: Piece) -> Value {
        let mark = UploadId::new().to_string();
        self.0.push((mark.clone(), piece));
        mark.into()
    }

    /// The text without the marks, and the bytes in their places.
    fn split(self, text: &str) -> Vec<Piece> {
        let mut places: Vec<(usize, usize, Piece)> = self
            .0
            .into_iter()
            .filter_map(|(mark, piece)| text.find(&mark).map(|start| (start, start + mark.len(), piece)))
            .collect();
        places.sort_by_key(|(start, ..)| *start);
        let mut pieces = Vec::with_capacity(places.len() * 2 + 1);
        let mut at = 0;
        for (start, end, piece) in places {
            pieces.push(Piece::Text(Bytes::copy_from_slice(&text.as_bytes()[at..start])));
            pieces.push(piece);
            at = end;
        }
        pieces.push(Piece::Text(Bytes::copy_from_slice(&text.as_bytes()[at..])));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_go_where_their_marks_are_whatever_the_order_of_members() {
        let mut marks = Marks::default();
        let one = marks.set(Piece::Content(UploadId::new(), 1));
        let other = marks.set(Piece::Content(UploadId::new(), 2));
        let tree = json!({ "b": other, "z": one, "a": "text" });
        let text = tree.to_string();
        let pieces = marks.split(&text);
        let lengths: Vec<_> =
            pieces.iter().map(|piece| if let Piece::Content(_, n) = piece { *n } else { 0 }).collect();
        let joined: String = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => String::from_utf8_lossy(text).into_owned(),
                Piece::Content(..) | Piece::Upload(_) => "DATA".to_owned(),
            })
            .collect();
        assert_eq!(
            serde_json::from_str::<Value>(&joined).ok(),
            Some(json!({ "b": "DATA", "z": "DATA", "a": "text" }))
        );
        let expected =
            if text.find("\"b\"") < text.find("\"z\"") { [0, 2, 0, 1, 0] } else { [0, 1, 0, 2, 0] };
        assert_eq!(lengths, expected);
    }
}
