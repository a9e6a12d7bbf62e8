// Uses the REST API with fhir-kit-client as it comes from npm.
//
//   node fhir_kit.mjs BASE
import assert from 'node:assert/strict'
import { Client } from 'fhir-kit-client'

const client = new Client({ baseUrl: process.argv[2] })
const status = (resource) => Client.httpFor(resource).response.status
const header = (resource, name) => Client.httpFor(resource).response.headers.get(name)
const refused = async (promise, expected) => {
  const error = await promise.then(() => assert.fail(`not refused with ${expected}`), (error) => error)
  assert.equal(error.response?.status, expected, String(error))
  assert.equal(error.response.data.resourceType, 'OperationOutcome')
}
const patient = (family, more) => ({ resourceType: 'Patient', name: [{ family, given: ['Kit'] }], ...more })
const identifier = [{ system: 'http://example.org/kit', value: 'one' }]

const statement = await client.capabilityStatement()
assert.equal(statement.fhirVersion, '4.0.1')
assert.ok(statement.rest[0].resource.some((member) => member.type === 'Task'))

// Create, read, versions, update, patch, history.
const created = await client.create({ resourceType: 'Patient', body: patient('Kit') })
assert.equal(status(created), 201)
const { id } = created
assert.ok(header(created, 'Location').includes(`/Patient/${id}/_history/1`))
const minimal = await client.create({
  resourceType: 'Patient',
  body: patient('Minimal'),
  options: { headers: { Prefer: 'return=minimal' } },
})
assert.equal(status(minimal), 201)
const read = await client.read({ resourceType: 'Patient', id })
assert.equal(read.name[0].family, 'Kit')
const updated = await client.update({ resourceType: 'Patient', id, body: { ...read, gender: 'other' } })
assert.equal(updated.meta.versionId, '2')
await refused(
  client.update({ resourceType: 'Patient', id, body: read, options: { headers: { 'If-Match': 'W/"1"' } } }),
  412,
)
const patched = await client.patch({
  resourceType: 'Patient',
  id,
  jsonPatch: [
    { op: 'replace', path: '/gender', value: 'female' },
    { op: 'add', path: '/name/-', value: { text: 'K' } },
  ],
})
assert.equal(patched.gender, 'female')
assert.equal(patched.name.length, 2)
const first = await client.vread({ resourceType: 'Patient', id, version: '1' })
assert.equal(first.gender, undefined)
const history = await client.history({ resourceType: 'Patient', id })
assert.deepEqual(history.entry.map((entry) => entry.resource.meta.versionId), ['3', '2', '1'])
assert.equal((await client.history({ resourceType: 'Patient' })).type, 'history')

// Conditional interactions.
const byIdentifier = { identifier: 'http://example.org/kit|one' }
const conditional = await client.update({
  resourceType: 'Patient',
  searchParams: byIdentifier,
  body: patient('Conditional', { identifier }),
})
assert.equal(status(conditional), 201)
const again = await client.update({
  resourceType: 'Patient',
  searchParams: byIdentifier,
  body: patient('Again', { identifier }),
})
assert.equal(again.id, conditional.id)
const existed = await client.create({
  resourceType: 'Patient',
  body: patient('Not made', { identifier }),
  options: { headers: { 'If-None-Exist': 'identifier=http://example.org/kit|one' } },
})
assert.equal(status(existed), 200)
assert.equal(existed.id, conditional.id)

// Search, by GET and POST, of a compartment and of the system, page by page.
for (let n = 0; n < 7; n += 1) {
  await client.create({
    resourceType: 'Observation',
    body: {
      resourceType: 'Observation',
      status: 'final',
      code: { coding: [{ system: 'http://loinc.org', code: '8302-2' }] },
      subject: { reference: `Patient/${id}` },
      effectiveDateTime: `2026-01-0${n + 1}`,
      valueQuantity: { value: 100 + n, unit: 'cm', system: 'http://unitsofmeasure.org', code: 'cm' },
    },
  })
}
const searchParams = { patient: id, _sort: '-date', _count: '3' }
const seen = []
let page = await client.search({ resourceType: 'Observation', searchParams })
assert.equal(page.total, 7)
while (page) {
  seen.push(...(page.entry ?? []).map((entry) => entry.resource.valueQuantity.value))
  page = page.link.some((link) => link.relation === 'next') ? await client.nextPage({ bundle: page }) : undefined
}
assert.deepEqual(seen, [106, 105, 104, 103, 102, 101, 100])
const posted = await client.search({
  resourceType: 'Observation',
  searchParams: { date: 'ge2026-01-06' },
  options: { postSearch: true },
})
assert.equal(posted.total, 2)
const compartment = await client.compartmentSearch({
  resourceType: 'Observation',
  compartment: { resourceType: 'Patient', id },
})
assert.equal(compartment.total, 7)
const system = await client.systemSearch({ searchParams: { _type: 'Patient,Observation', _id: id } })
assert.equal(system.total, 1)
const included = await client.search({
  resourceType: 'Observation',
  searchParams: { patient: id, _include: 'Observation:subject', _count: '2' },
})
assert.deepEqual(included.entry.map((entry) => entry.search.mode), ['match', 'match', 'include'])

// Batch and transaction.
const batch = await client.batch({
  body: {
    resourceType: 'Bundle',
    type: 'batch',
    entry: [
      { request: { method: 'GET', url: `Patient/${id}` } },
      { request: { method: 'GET', url: 'Patient/nobody' } },
    ],
  },
})
assert.deepEqual(batch.entry.map((entry) => entry.response.status.slice(0, 3)), ['200', '404'])
const transaction = await client.transaction({
  body: {
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [
      {
        fullUrl: 'urn:uuid:8f1dc5f2-6a4e-4d3c-9d6e-0a8f5a6b7c8d',
        resource: patient('Transaction'),
        request: { method: 'POST', url: 'Patient' },
      },
      {
        resource: {
          resourceType: 'Encounter',
          status: 'finished',
          class: { system: 'http://terminology.hl7.org/CodeSystem/v3-ActCode', code: 'AMB' },
          subject: { reference: 'urn:uuid:8f1dc5f2-6a4e-4d3c-9d6e-0a8f5a6b7c8d' },
        },
        request: { method: 'POST', url: 'Encounter' },
      },
    ],
  },
})
assert.equal(transaction.type, 'transaction-response')
assert.ok(transaction.entry.every((entry) => entry.response.status.startsWith('201')))

// Operations.
const everything = await client.operation({ name: 'everything', resourceType: 'Patient', id, method: 'GET' })
assert.equal(everything.resourceType, 'Bundle')
const valid = await client.operation({ name: 'validate', resourceType: 'Patient', input: patient('Valid') })
assert.equal(valid.resourceType, 'OperationOutcome')

// What is gone, what never was, what is no resource.
await client.delete({ resourceType: 'Patient', id: minimal.id ?? again.id })
await refused(client.read({ resourceType: 'Patient', id: again.id }), 410)
await refused(client.read({ resourceType: 'Patient', id: 'nobody' }), 404)
await refused(client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', nope: 1 } }), 422)
console.log('DONE')
