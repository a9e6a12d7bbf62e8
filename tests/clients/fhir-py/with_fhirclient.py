"""Uses the REST API with fhirclient (SMART on FHIR) as it comes from PyPI: its models read what comes back strictly.

    python with_fhirclient.py BASE
"""

import sys

from fhirclient import server
from fhirclient.models.bundle import Bundle
from fhirclient.models.capabilitystatement import CapabilityStatement
from fhirclient.models.documentreference import DocumentReference
from fhirclient.models.operationdefinition import OperationDefinition
from fhirclient.models.patient import Patient
from fhirclient.models.searchparameter import SearchParameter
from fhirclient.models.task import Task

PROFILE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"


def main(base):
    smart = server.FHIRServer(None, base + "/")
    statement = smart.capabilityStatement
    assert isinstance(statement, CapabilityStatement)
    assert statement.fhirVersion == "4.0.1"

    patient = Patient(
        {
            "resourceType": "Patient",
            "meta": {"profile": [PROFILE]},
            "identifier": [{"system": "http://example.org/mrn", "value": "smart-1"}],
            "name": [{"family": "Smart", "given": ["Py"]}],
            "gender": "female",
            "birthDate": "1980-05-06",
        }
    )
    made = Patient(patient.create(smart))
    read = Patient.read(made.id, smart)
    assert read.name[0].family == "Smart"
    read.active = True
    updated = Patient(read.update(smart))
    assert (updated.meta.versionId, updated.active) == ("2", True)

    for day in range(1, 6):
        DocumentReference(
            {
                "resourceType": "DocumentReference",
                "status": "current",
                "type": {"coding": [{"system": "http://loinc.org", "code": "34133-9"}]},
                "subject": {"reference": f"Patient/{made.id}"},
                "date": f"2026-03-0{day}T10:00:00Z",
                "content": [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}],
            }
        ).create(smart)
    found = DocumentReference.where({"patient": made.id, "_sort": "-date", "_count": "2"})
    days = [document.date.isostring[8:10] for document in found.perform_resources_iter(smart)]
    assert days == ["05", "04", "03", "02", "01"], days
    by_patient = Patient.where({"identifier": "http://example.org/mrn|smart-1", "birthdate": "gt1980-01"})
    by_patient = by_patient.perform(smart)
    assert isinstance(by_patient, Bundle)
    included = DocumentReference.where({"patient": made.id}).include("subject").perform(smart)
    assert any(entry.resource.resource_type == "Patient" for entry in included.entry)

    task = Task(
        {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "for": {"reference": f"Patient/{made.id}"},
        }
    )
    task = Task(task.create(smart))
    task.status = "completed"
    assert Task(task.update(smart)).status == "completed"

    for model, name in ((SearchParameter, "Task-owner"), (OperationDefinition, "Patient-match")):
        assert model.read(name, smart).id == name
    for model in (OperationDefinition, SearchParameter):
        definitions = list(model.where({"_count": "500"}).perform_resources_iter(smart))
        assert definitions, model

    task.delete(smart)
    try:
        Task.read(task.id, smart)
    except Exception as error:  # noqa: BLE001 requests' error carries the status
        assert getattr(getattr(error, "response", None), "status_code", 0) == 410, error
    else:
        sys.exit("a deleted Task was read")


main(sys.argv[1])
print("DONE")
