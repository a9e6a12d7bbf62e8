// Uploads a file with tus-js-client as it comes from npm, with one interruption at about half of it.
//
//   node tus-js.mjs ENDPOINT FILE METADATA-JSON abort|kill
//
// Says "HALF url" and waits for a line, then "DONE url". With "abort" the client gives up its one long request
// and resumes with a new Upload; with "kill" it keeps its request back until the line has come, and then has to
// live with a server that is gone for a while.
import { createReadStream, readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import * as tus from 'tus-js-client'

const [endpoint, file, metadata, interruption] = process.argv.slice(2)
const content = readFileSync(file)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

// Ends a run that hangs: the test waits for the next line.
setTimeout(() => process.exit(3), 600_000).unref()

const finished = (upload) => {
  console.log(`DONE ${upload.url}`)
  process.exit(0)
}
const failed = (error) => {
  console.error(String(error))
  process.exit(1)
}
const common = { endpoint, metadata: JSON.parse(metadata), onError: failed }

// Calls back as soon as so many bytes have left a connection. The client's own progress comes ten times a second,
// in which a small file is gone.
const watched = (bytes, callback) => {
  const agent = new Agent()
  agent.createConnection = (options) => {
    const socket = connect(options)
    socket.on('drain', () => {
      if (socket.bytesWritten > bytes) callback()
    })
    return socket
  }
  return new tus.DefaultHttpStack({ agent })
}

if (interruption === 'abort') {
  let aborted = false
  const resume = async () => {
    if (aborted) return
    aborted = true
    await first.abort()
    console.log(`HALF ${first.url}`)
    await lines.next()
    const second = new tus.Upload(content, {
      ...common,
      uploadUrl: first.url,
      retryDelays: [0, 200, 500, 1000, 2000, 5000],
      onSuccess: () => finished(second),
    })
    second.start()
  }
  const first = new tus.Upload(createReadStream(file), {
    ...common,
    retryDelays: null,
    httpStack: watched(content.length / 2, resume),
    onSuccess: () => failed('the upload ended before it was aborted'),
  })
  first.start()
} else {
  let sent = 0
  let waited = false
  const upload = new tus.Upload(content, {
    ...common,
    chunkSize: 1024 * 1024,
    retryDelays: [100, 200, 500, ...Array(60).fill(1000)],
    onChunkComplete: (_size, accepted) => {
      sent = accepted
    },
    onBeforeRequest: async () => {
      if (waited || sent < content.length / 2) return
      waited = true
      console.log(`HALF ${upload.url}`)
      await lines.next()
    },
    onSuccess: () => finished(upload),
  })
  upload.start()
}
