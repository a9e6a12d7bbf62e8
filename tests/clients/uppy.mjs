// Uploads a file with Uppy's tus plugin as it comes from npm: once removed again while it is under way, then whole.
//
//   node uppy.mjs ENDPOINT FILE METADATA-JSON
//
// Says "GONE url" of the one and "DONE url" of the other. Uppy is made for browsers; of what those have it uses
// nothing that Node lacks.
import { readFileSync } from 'node:fs'
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'

const [endpoint, file, metadata] = process.argv.slice(2)
const content = readFileSync(file)
// Ends a run that hangs: the test waits for the next line.
setTimeout(() => process.exit(3), 600_000).unref()

const failed = (error) => {
  console.error(String(error))
  process.exit(1)
}

const made = (chunkSize) => {
  const uppy = new Uppy({ meta: JSON.parse(metadata) })
  uppy.use(Tus, { endpoint, chunkSize, retryDelays: [100, 500, 1000], storeFingerprintForResuming: false })
  uppy.on('upload-error', (_file, error) => failed(error))
  const id = uppy.addFile({ name: 'note.txt', type: 'text/plain', data: content, source: 'test' })
  return { uppy, id }
}

// Resolves with the URL once so much of the file is known to be there, or the upload is over.
const begun = ({ uppy, id }) =>
  new Promise((resolve) => {
    uppy.on('upload-progress', (current, progress) => {
      if (current.id === id && progress.bytesUploaded > 0) resolve(uppy.getFile(id)?.tus?.uploadUrl)
    })
  })

const first = made(64 * 1024)
const started = begun(first)
first.uppy.upload().catch(failed)
const url = await started
first.uppy.removeFile(first.id)
console.log(`GONE ${url}`)

const second = made(1024 * 1024)
const result = await second.uppy.upload()
if (result.successful?.length !== 1) failed('the file was not uploaded')
console.log(`DONE ${result.successful[0].uploadURL}`)
process.exit(0)
