// Runs the module of the browser example under Node, with one interruption after its first chunk.
//
//   node browser.mjs GATEWAY FILE STATE
//
// Says "HALF url sent" and "DONE url status". The browser's local storage is the file STATE here.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { FileUrlStorage } from 'tus-js-client'
import { status, upload } from './upload.mjs'

const [gateway, file, state] = process.argv.slice(2)
const content = readFileSync(file)
const manifest = {
  data_stream_id: 'cdex',
  data_stream_route: 'attachment',
  sender_id: 'example-sender',
  data_producer_id: 'example-producer',
  jurisdiction: 'null',
  received_filename: basename(file),
}
const common = {
  gateway,
  manifest,
  chunkSize: 1024 * 1024,
  urlStorage: new FileUrlStorage(state),
  // What a browser knows of a File, Node does not know of a buffer.
  fingerprint: async () => basename(file),
}

const stopping = new AbortController()
let first
try {
  await upload(content, {
    ...common,
    signal: stopping.signal,
    onAfterResponse: (request) => { first = request.getURL() },
    onProgress: (sent) => {
      console.log(`HALF ${first} ${sent}`)
      stopping.abort(new Error('stopped'))
    },
  })
  process.exit(1)
} catch (error) {
  if (error.message !== 'stopped') throw error
}
let resumed
const url = await upload(content, { ...common, onProgress: (sent) => { resumed ??= sent } })
if (resumed <= 1024 * 1024) process.exit(2)
console.log(`DONE ${url} ${(await status(url, { gateway })).upload_status.status}`)
process.exit(0)
