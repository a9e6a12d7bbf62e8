// @tus/server as it comes from npm: a foreign tus server with its uploads in a folder.
//
//   node server.mjs FOLDER
//
// Says "PORT n" when it listens, and ends with its standard input.
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const datastore = new FileStore({ directory: process.argv[2] })
const server = new Server({ path: '/files', datastore }).listen({ host: '127.0.0.1', port: 0 })
server.on('listening', () => console.log(`PORT ${server.address().port}`))
process.stdin.on('close', () => process.exit(0)).resume()
