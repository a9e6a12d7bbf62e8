// Uploads a file with tus-js-client as it comes from npm, in four parts at the same time that the server joins.
//
//   node tus-js-parallel.mjs ENDPOINT FILE METADATA-JSON
//
// Says "DONE url".
import { readFileSync } from 'node:fs'
import * as tus from 'tus-js-client'

const [endpoint, file, metadata] = process.argv.slice(2)
// Ends a run that hangs: the test waits for the next line.
setTimeout(() => process.exit(3), 600_000).unref()

const upload = new tus.Upload(readFileSync(file), {
  endpoint,
  metadata: JSON.parse(metadata),
  parallelUploads: 4,
  chunkSize: 512 * 1024,
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess: () => {
    console.log(`DONE ${upload.url}`)
    process.exit(0)
  },
})
upload.start()
