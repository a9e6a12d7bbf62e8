"""Uses the REST API with fhirpy as it comes from PyPI, its synchronous and its asynchronous client.

    python with_fhirpy.py BASE
"""

import asyncio
import sys

from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

IDENTIFIER = {"system": "http://example.org/fhirpy", "value": "one"}


def refused(call, kind):
    try:
        call()
    except kind:
        return
    sys.exit(f"not refused with {kind.__name__}")


def synchronous(base):
    client = SyncFHIRClient(base)
    patient = client.resource("Patient", name=[{"family": "Py", "given": ["Fhir"]}], active=True)
    patient.save()
    assert patient["meta"]["versionId"] == "1"
    patient["gender"] = "other"
    patient.save()
    assert patient["meta"]["versionId"] == "2"
    # A save of some fields is a patch whose body is a part of the resource, sent as application/json.
    patient["birthDate"] = "1970-01-02"
    patient.save(fields=["birthDate"])
    patient.patch(active=False)
    patient.refresh()
    assert (patient["birthDate"], patient["active"]) == ("1970-01-02", False)
    reference = patient.to_reference()
    for day in range(1, 8):
        client.resource(
            "Observation",
            status="final",
            code={"coding": [{"system": "http://loinc.org", "code": "8302-2"}]},
            subject=reference,
            effectiveDateTime=f"2026-02-0{day}",
        ).save()
    searched = client.resources("Observation").search(patient=patient.id).sort("-date").limit(2)
    days = [found["effectiveDateTime"][-1] for found in searched.fetch_all()]
    assert days == list("7654321"), days
    assert len(searched.fetch()) == 2
    assert client.resources("Observation").search(patient=patient.id).count() == 7
    assert client.resources("Observation").search(date__ge="2026-02-06").count() == 2
    assert client.resources("Patient").search(family__exact="Py").first()["id"] == patient.id
    bundle = client.resources("Observation").include("Observation", "subject").limit(3).fetch_raw()
    modes = [entry["search"]["mode"] for entry in bundle["entry"]]
    assert modes == ["match", "match", "match", "include"], modes
    observation = client.resources("Observation").first()
    assert observation["subject"].to_resource()["id"] == patient.id

    made, is_new = client.resources("Patient").search(identifier="http://example.org/fhirpy|one").get_or_create(
        client.resource("Patient", identifier=[IDENTIFIER])
    )
    same, is_new_again = client.resources("Patient").search(
        identifier="http://example.org/fhirpy|one"
    ).get_or_create(client.resource("Patient", identifier=[IDENTIFIER]))
    assert (is_new, is_new_again, made.id) == (True, False, same.id)
    updated, is_new = client.resources("Patient").search(identifier="http://example.org/fhirpy|one").update(
        client.resource("Patient", identifier=[IDENTIFIER], active=True)
    )
    assert (is_new, updated.id) == (False, made.id)
    patched = client.resources("Patient").search(identifier="http://example.org/fhirpy|one").patch(gender="male")
    assert patched["gender"] == "male"
    assert client.resources("Patient").search(_id=made.id).get().id == made.id
    refused(lambda: client.resources("Observation").get(), MultipleResourcesFound)
    refused(lambda: client.resources("Patient").search(_id="nobody").get(), ResourceNotFound)
    refused(lambda: client.get("Patient", "nobody"), ResourceNotFound)
    refused(lambda: client.resource("Patient", nope=1).save(), OperationOutcome)
    assert client.execute(f"Patient/{patient.id}/$everything", method="get")["resourceType"] == "Bundle"
    assert patient.is_valid()
    assert not client.resource("Patient", active="yes").is_valid()
    client.resources("Patient").search(identifier="http://example.org/fhirpy|one").delete()
    refused(lambda: client.get("Patient", made.id), ResourceNotFound)
    patient_id = patient.id
    patient.delete()
    refused(lambda: client.get("Patient", patient_id), ResourceNotFound)


async def asynchronous(base):
    client = AsyncFHIRClient(base)
    tasks = [client.resource("Basic", code={"text": f"number {n}"}) for n in range(12)]
    await asyncio.gather(*(task.save() for task in tasks))
    found = [basic async for basic in client.resources("Basic").limit(5)]
    assert {basic.id for basic in found} == {task.id for task in tasks}
    await asyncio.gather(*(task.delete() for task in tasks))
    assert await client.resources("Basic").count() == 0


synchronous(sys.argv[1])
asyncio.run(asynchronous(sys.argv[1]))
print("DONE")
