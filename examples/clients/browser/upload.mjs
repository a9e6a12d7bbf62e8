// Uploads a file from a page, in chunks, and goes on where an earlier visit was cut off: tus-js-client remembers the URL
// of the upload in the browser's local storage.
import * as tus from 'tus-js-client'

/**
 * Uploads a file and gives the URL of its upload.
 *
 * `manifest` is the sender manifest, an object of texts. `onProgress(sent, length)` is told how far it is. `token` goes
 * along if there is one. `signal` stops it; the next call with the same file goes on. What else is given goes to
 * tus-js-client.
 */
export async function upload(file, { gateway, manifest, onProgress, token, signal, ...more }) {
  return new Promise((resolve, reject) => {
    const sending = new tus.Upload(file, {
      endpoint: `${gateway}/upload/files`,
      metadata: manifest,
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      chunkSize: 8 * 1024 * 1024,
      retryDelays: [0, 1000, 3000, 5000, 10000, 20000],
      removeFingerprintOnSuccess: true,
      onChunkComplete: (_, sent, length) => onProgress?.(sent, length),
      onSuccess: () => resolve(sending.url),
      onError: reject,
      ...more,
    })
    signal?.addEventListener('abort', () => sending.abort().then(() => reject(signal.reason), reject))
    sending.findPreviousUploads().then(([previous]) => {
      if (previous) sending.resumeFromPreviousUpload(previous)
      if (!signal?.aborted) sending.start()
    }, reject)
  })
}

/** What became of an upload: its manifest, bytes, status and deliveries. */
export async function status(url, { gateway, token }) {
  const id = url.split('/').pop()
  const headers = token ? { Authorization: `Bearer ${token}` } : {}
  const answer = await fetch(`${gateway}/upload/info/${id}`, { headers })
  if (!answer.ok) throw new Error(`status ${answer.status}`)
  return answer.json()
}
