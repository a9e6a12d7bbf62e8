// Uploads a file with nothing but the JDK, in chunks, and goes on where an earlier run was cut off.
//
//   java Upload.java GATEWAY FILE
//
// The URL of the upload is kept in FILE.upload until it is complete. An access token is read from TOKEN.

import java.io.IOException;
import java.io.RandomAccessFile;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Collectors;

public class Upload {
    /** Bytes in one PATCH; what a broken line can cost. */
    static final int CHUNK = 8 * 1024 * 1024;

    /** Failures in a row before giving up. */
    static final int TRIES = 10;

    static final HttpClient CLIENT = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    public static void main(String[] arguments) throws Exception {
        String gateway = arguments[0].replaceAll("/+$", "");
        Path file = Path.of(arguments[1]);
        Path memory = Path.of(file + ".upload");
        long length = Files.size(file);

        URI upload = null;
        OptionalLong known = OptionalLong.empty();
        if (Files.exists(memory)) {
            upload = URI.create(Files.readString(memory).strip());
            known = offset(upload);
        }
        if (known.isEmpty()) {
            upload = create(gateway, file, length);
            Files.writeString(memory, upload.toString());
            known = OptionalLong.of(0);
        }

        long at = known.getAsLong();
        int failures = 0;
        while (at < length) {
            System.err.println(at + " of " + length + " bytes");
            long reached;
            try {
                reached = append(upload, at, read(file, at));
            } catch (IOException broken) {
                // The gateway knows best what arrived.
                reached = -1;
            }
            if (reached <= at) {
                if (++failures == TRIES) throw new IOException("the gateway does not take it; run this again later");
                Thread.sleep(1000);
                try {
                    reached = offset(upload).orElseThrow(() -> new IOException("the upload is gone"));
                } catch (IOException still) {
                    reached = at;
                }
            }
            if (reached > at) failures = 0;
            at = reached;
        }
        Files.deleteIfExists(memory);

        // What became of it: its bytes, its status, its deliveries.
        System.out.println(upload);
        String path = upload.getPath();
        URI info = URI.create(gateway + "/upload/info/" + path.substring(path.lastIndexOf('/') + 1));
        System.out.println(CLIENT.send(request(info).GET().build(), BodyHandlers.ofString()).body());
    }

    /** POST: creates the upload with its manifest, and gives its URL. */
    static URI create(String gateway, Path file, long length) throws Exception {
        Map<String, String> manifest = new LinkedHashMap<>();
        manifest.put("data_stream_id", "cdex");
        manifest.put("data_stream_route", "attachment");
        manifest.put("sender_id", "example-sender");
        manifest.put("data_producer_id", "example-producer");
        manifest.put("jurisdiction", "null");
        manifest.put("received_filename", file.getFileName().toString());
        Base64.Encoder base64 = Base64.getEncoder();
        String metadata = manifest.entrySet().stream()
                .map(field -> field.getKey() + " "
                        + base64.encodeToString(field.getValue().getBytes(StandardCharsets.UTF_8)))
                .collect(Collectors.joining(","));
        URI creation = URI.create(gateway + "/upload/files");
        HttpResponse<String> answer = CLIENT.send(
                request(creation)
                        .header("Upload-Length", Long.toString(length))
                        .header("Upload-Metadata", metadata)
                        .POST(BodyPublishers.noBody())
                        .build(),
                BodyHandlers.ofString());
        if (answer.statusCode() != 201) throw new IOException(answer.statusCode() + ": " + answer.body());
        // A Location may be relative to the URL that was asked.
        return creation.resolve(answer.headers().firstValue("Location").orElseThrow());
    }

    /** HEAD: how much does the gateway have? Nothing if it does not know the upload. */
    static OptionalLong offset(URI upload) throws Exception {
        HttpRequest head = request(upload).method("HEAD", BodyPublishers.noBody()).build();
        HttpResponse<Void> answer = CLIENT.send(head, BodyHandlers.discarding());
        if (answer.statusCode() >= 500) throw new IOException("status " + answer.statusCode());
        return answer.headers().firstValueAsLong("Upload-Offset");
    }

    /** PATCH: gives the offset that was reached, or -1. */
    static long append(URI upload, long at, byte[] chunk) throws Exception {
        HttpRequest patch = request(upload)
                .header("Upload-Offset", Long.toString(at))
                .header("Content-Type", "application/offset+octet-stream")
                .method("PATCH", BodyPublishers.ofByteArray(chunk))
                .build();
        HttpResponse<Void> answer = CLIENT.send(patch, BodyHandlers.discarding());
        return answer.statusCode() == 204 ? answer.headers().firstValueAsLong("Upload-Offset").orElse(-1) : -1;
    }

    /** All requests speak tus 1.0.0; with a token, they also say who we are. */
    static HttpRequest.Builder request(URI uri) {
        HttpRequest.Builder request = HttpRequest.newBuilder(uri).header("Tus-Resumable", "1.0.0");
        String token = System.getenv("TOKEN");
        return token == null ? request : request.header("Authorization", "Bearer " + token);
    }

    static byte[] read(Path file, long at) throws IOException {
        try (RandomAccessFile open = new RandomAccessFile(file.toFile(), "r")) {
            open.seek(at);
            byte[] chunk = new byte[(int) Math.min(CHUNK, open.length() - at)];
            open.readFully(chunk);
            return chunk;
        }
    }
}
