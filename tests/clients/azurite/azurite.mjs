// Azurite's blob service on a port of loopback, its blobs in a folder.
//
//   node azurite.mjs PORT FOLDER
//
// "make CONTAINER" makes a container; "list CONTAINER" says "BLOB SHA-256" for each blob in it. It says each line that it
// was given again when that is done, and ends with its standard input, so it never outlives the test.
import { createHash, createHmac } from 'node:crypto'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const ACCOUNT = 'devstoreaccount1'
// Azurite's one published key.
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='
const VERSION = '2021-08-06'

const [port, folder] = process.argv.slice(2)
process.argv = [
  ...process.argv.slice(0, 2),
  ...['--blobPort', port, '--location', folder],
  ...['--silent', '--disableTelemetry', '--skipApiVersionCheck'],
]

const signed = (method, path, query) => {
  const date = new Date().toUTCString()
  const resource = `/${ACCOUNT}/${ACCOUNT}${path}${query}`
  const text = `${method}${'\n'.repeat(12)}x-ms-date:${date}\nx-ms-version:${VERSION}\n${resource}`
  const signature = createHmac('sha256', Buffer.from(KEY, 'base64')).update(text, 'utf8').digest('base64')
  return { authorization: `SharedKey ${ACCOUNT}:${signature}`, 'x-ms-date': date, 'x-ms-version': VERSION }
}

const make = async (container) => {
  const url = `http://127.0.0.1:${port}/${ACCOUNT}/${container}?restype=container`
  for (let attempt = 0; attempt < 600; attempt += 1) {
    const headers = signed('PUT', `/${container}`, '\nrestype:container')
    const answer = await fetch(url, { method: 'PUT', headers }).catch(() => undefined)
    if (answer?.status === 201) return
    if (answer !== undefined) throw new Error(`the container was answered ${answer.status}: ${await answer.text()}`)
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new Error('Azurite does not start')
}

const get = async (path, query, signedQuery) => {
  const answer = await fetch(`http://127.0.0.1:${port}/${ACCOUNT}${path}${query}`, {
    headers: signed('GET', path, signedQuery),
  })
  // What was listed may be gone by now.
  return answer.ok ? Buffer.from(await answer.arrayBuffer()) : undefined
}

const list = async (container) => {
  const listed = await get(`/${container}`, '?comp=list&restype=container', '\ncomp:list\nrestype:container')
  for (const [, name] of String(listed).matchAll(/<Blob><Name>([^<]*)<\/Name>/g)) {
    const content = await get(`/${container}/${encodeURI(name)}`, '', '')
    if (content !== undefined) console.log(`${name} ${createHash('sha256').update(content).digest('hex')}`)
  }
}

createRequire(import.meta.url)('azurite/dist/src/blob/main.js')
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, container] = line.split(' ')
  await (verb === 'list' ? list : make)(container)
  console.log(line)
}
process.exit(0)
