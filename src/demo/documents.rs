//! What the demo sends: two invented documents, a large file that is computed where it is needed, and the
//! FHIR Parameters around them.

use bytes::Bytes;
use serde_json::{Value, json};

/// A document of the demo's patient.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document {
    /// Its file name.
    pub(super) name: &'static str,
    /// Its media type.
    pub(super) media_type: &'static str,
    /// Its LOINC code.
    pub(super) loinc: &'static str,
    /// What it is.
    pub(super) title: &'static str,
    /// Its bytes.
    pub(super) bytes: &'static [u8],
}

/// A progress note in the manner of C-CDA.
pub(super) const PROGRESS_NOTE: Document = Document {
    name: "progress-note.xml",
    media_type: "text/xml",
    loinc: "11506-3",
    title: "Progress note",
    bytes: include_bytes!("../../examples/resources/progress-note.xml"),
};

/// A page from a laboratory.
pub(super) const LAB_REPORT: Document = Document {
    name: "lab-report.pdf",
    media_type: "application/pdf",
    loinc: "11502-2",
    title: "Laboratory report",
    bytes: include_bytes!("../../examples/resources/lab-report.pdf"),
};

impl Document {
    /// It as an Attachment parameter, its bytes inside.
    pub(super) fn attached(&self, line_item: &str) -> Value {
        let data = base64_simd::STANDARD.encode_to_string(self.bytes);
        let attachment = json!({ "contentType": self.media_type, "data": data, "title": self.name });
        attached(line_item, self.loinc, self.title, &attachment)
    }

    /// It as the DocumentReference of a patient, its bytes inside.
    pub(super) fn of_patient(&self, patient: &str) -> Value {
        let data = base64_simd::STANDARD.encode_to_string(self.bytes);
        json!({
            "resourceType": "DocumentReference",
            "status": "current",
            "type": loinc(self),
            "category": [{ "coding": [{
                "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "code": "clinical-note",
            }] }],
            "subject": { "reference": patient },
            "date": "2026-03-12T10:25:00-06:00",
            "content": [{ "attachment": { "contentType": self.media_type, "data": data, "title": self.name } }],
        })
    }
}

/// The demo's patient, as payer and provider know them.
pub(super) fn patient() -> Value {
    let mut identifier = member();
    identifier["type"] = json!({ "coding": [{
        "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MB" }] });
    json!({
        "resourceType": "Patient",
        "identifier": [identifier],
        "name": [{ "family": "Demo", "given": ["Dora"] }],
        "birthDate": "1974-12-25",
        "gender": "female",
    })
}

/// The member id of the demo's patient.
pub(super) fn member() -> Value {
    json!({ "system": "http://example.org/cdex/member-ids", "value": "DEMO-417" })
}

/// The LOINC code of a document.
pub(super) fn loinc(document: &Document) -> Value {
    json!({ "coding": [{ "system": "http://loinc.org", "code": document.loinc, "display": document.title }] })
}

/// An Attachment parameter: a `DocumentReference` with this `attachment`.
pub(super) fn attached(line_item: &str, loinc: &str, title: &str, attachment: &Value) -> Value {
    let code = json!({ "coding": [{ "system": "http://loinc.org", "code": loinc, "display": title }] });
    json!({ "name": "Attachment", "part": [
        { "name": "LineItem", "valueString": line_item },
        { "name": "Code", "valueCodeableConcept": code },
        { "name": "Content", "resource": {
            "resourceType": "DocumentReference",
            "status": "current",
            "type": code,
            "category": [{ "coding": [{
                "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "code": "clinical-note",
            }] }],
            "subject": { "identifier": { "system": "http://example.org/cdex/member-ids", "value": "DEMO-417" } },
            "date": "2026-03-12T10:25:00-06:00",
            "content": [{ "attachment": attachment }],
        } },
    ] })
}

/// The parameters that say whom the attachments concern, `MemberId` last.
pub(super) fn parameters(tracking_id: &str, attachments: Vec<Value>) -> Vec<Value> {
    let npi = "http://hl7.org/fhir/sid/us-npi";
    let identifier = |name: &str, system: &str, value: &str| json!({ "name": name, "valueIdentifier": { "system": system, "value": value } });
    let mut parameters = vec![
        identifier("TrackingId", "http://example.org/provider", tracking_id),
        json!({ "name": "AttachTo", "valueCode": "claim" }),
        identifier("PayerId", "http://example.org/cdex/payer-ids", "payer123"),
        identifier("OrganizationId", npi, "1407071236"),
        identifier("ProviderId", npi, "9941339108"),
        json!({ "name": "ServiceDate", "valueDateTime": "2026-03-12" }),
    ];
    parameters.extend(attachments);
    parameters.push(identifier("MemberId", "http://example.org/cdex/member-ids", "DEMO-417"));
    parameters
}

/// The body of a `$submit-attachment`.
pub(super) fn submission(parameters: &[Value]) -> Value {
    json!({
        "resourceType": "Parameters",
        "meta": { "profile": [
            "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-parameters-submit-attachment",
        ] },
        "parameter": parameters,
    })
}

/// A file that is always the same, is nowhere on disk before it is sent, and cannot be compressed.
pub(super) mod large_file {
    use super::Bytes;

    /// Its name.
    pub(in crate::demo) const NAME: &str = "ct-series.bin";
    /// Its length in bytes: 64 MiB.
    pub(in crate::demo) const LENGTH: usize = 64 * 1024 * 1024;

    const BLOCK: usize = 64 * 1024;
    const WORD: usize = size_of::<u64>();

    /// Its bytes from `from` to `to`, in blocks.
    pub(in crate::demo) fn blocks(from: usize, to: usize) -> impl Iterator<Item = Bytes> + Send {
        (from / BLOCK..to.div_ceil(BLOCK)).map(move |number| {
            let start = number * BLOCK;
            block(number).slice(from.saturating_sub(start)..(to - start).min(BLOCK))
        })
    }

    fn block(number: usize) -> Bytes {
        let first = number * (BLOCK / WORD);
        let mut block = vec![0; BLOCK];
        for (index, word) in block.chunks_exact_mut(WORD).enumerate() {
            word.copy_from_slice(&split_mix((first + index) as u64).to_le_bytes());
        }
        Bytes::from(block)
    }

    /// The `index`th number of `SplitMix64` with seed 0.
    fn split_mix(index: u64) -> u64 {
        let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_part_of_the_file_is_that_part_of_the_whole() {
            let whole: Vec<u8> = blocks(0, 3 * BLOCK).flatten().collect();
            assert_eq!(whole.len(), 3 * BLOCK);
            let parts = [(0, 0), (0, 1), (5, BLOCK), (BLOCK - 1, BLOCK + 1), (7, 3 * BLOCK), (BLOCK, BLOCK)];
            for (from, to) in parts {
                let part: Vec<u8> = blocks(from, to).flatten().collect();
                assert_eq!(part, whole[from..to], "{from}..{to}");
            }
        }
    }
}
