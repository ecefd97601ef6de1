package import AsyncHTTPClient
internal import Crypto
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization
internal import TauSystem

/// Objects in a bucket of an S3 server. Every request is signed over its body, so that a changed one is refused.
package struct S3Bucket: ObjectBucket {
    private let requests: S3Requests
    private var configuration: S3Configuration { requests.configuration }

    /// `client` belongs to the caller; its read timeout is how long an answer may be silent.
    package init(_ configuration: S3Configuration, client: HTTPClient) {
        requests = S3Requests(configuration: configuration, client: client)
    }

    // MARK: Storing

    package func put(_ key: String, _ content: ObjectContent) async throws(ObjectError) {
        var parts = PartReader(content, size: configuration.partBytes)
        guard content.byteCount > configuration.partBytes else {
            let body = try await parts.next() ?? []
            _ = try await requests.send("PUT", key, body: body)
            return
        }
        try await putParts(key, &parts)
    }

    /// An upload in parts. It is taken back if it does not succeed: parts that are left cost money.
    private func putParts(_ key: String, _ parts: inout PartReader) async throws(ObjectError) {
        let started = try await requests.send("POST", key, query: [("uploads", "")])
        guard let upload = XMLText.content(of: "UploadId", in: started.body) else {
            throw ObjectError(.unavailable, "the S3 server began no upload")
        }
        do throws(ObjectError) {
            var list = ""
            var number = 0
            while let part = try await parts.next() {
                number += 1
                let query = [("partNumber", "\(number)"), ("uploadId", upload)]
                let answer = try await requests.send("PUT", key, query: query, body: part)
                guard let tag = answer.headers.first(name: "etag") else {
                    throw ObjectError(.unavailable, "the S3 server gave a part no tag")
                }
                list += "<Part><PartNumber>\(number)</PartNumber><ETag>\(XMLText.escaped(tag))</ETag></Part>"
            }
            let body = Array("<CompleteMultipartUpload>\(list)</CompleteMultipartUpload>".utf8)
            let answer = try await requests.send("POST", key, query: [("uploadId", upload)], body: body)
            // It may say only in the body that it has failed.
            if let code = XMLText.content(of: "Code", in: answer.body) {
                throw ObjectError(.unavailable, "the S3 server could not put the parts together: \(code)")
            }
        } catch {
            _ = try? await requests.send("DELETE", key, query: [("uploadId", upload)])
            throw error
        }
    }

    // MARK: Reading

    package func get(_ key: String) async throws(ObjectError) -> ObjectContent {
        let (byteCount, body) = try await requests.open(key)
        let reader = BodyReader(body, byteCount: byteCount)
        return ObjectContent(byteCount: byteCount) { () throws(ObjectError) in try await reader.next() }
    }

    package func size(of key: String) async throws(ObjectError) -> Int? {
        do throws(ObjectError) {
            let answer = try await requests.send("HEAD", key)
            return answer.headers.first(name: "content-length").flatMap { Int($0) }
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    package func delete(_ key: String) async throws(ObjectError) {
        do throws(ObjectError) {
            _ = try await requests.send("DELETE", key)
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }
}

/// Makes parts of one size out of pieces of any, and counts that all bytes come.
private struct PartReader {
    private let content: ObjectContent
    private let size: Int
    private var rest: [UInt8] = []
    private var count = 0
    private var isAtEnd = false

    init(_ content: ObjectContent, size: Int) {
        self.content = content
        self.size = size
    }

    mutating func next() async throws(ObjectError) -> [UInt8]? {
        while rest.count < size, !isAtEnd {
            guard let piece = try await content.next() else {
                isAtEnd = true
                guard count == content.byteCount else {
                    throw ObjectError(.source, "\(content.byteCount) bytes were to be stored, and \(count) came")
                }
                break
            }
            count += piece.count
            rest += piece
        }
        guard !rest.isEmpty else { return nil }
        let part = Array(rest.prefix(size))
        rest.removeFirst(part.count)
        return part
    }
}

/// The body of an answer, piece by piece. Fewer bytes than were announced are an error.
///
/// `iterator` and `count` are touched by one call at a time, which `isReading` sees to; so it may be sent between tasks.
private final class BodyReader: @unchecked Sendable {
    private var iterator: HTTPClientResponse.Body.AsyncIterator
    private var count = 0
    private let byteCount: Int
    private let isReading = Atomic(false)

    init(_ body: HTTPClientResponse.Body, byteCount: Int) {
        iterator = body.makeAsyncIterator()
        self.byteCount = byteCount
    }

    func next() async throws(ObjectError) -> [UInt8]? {
        guard !isReading.exchange(true, ordering: .acquiring) else {
            preconditionFailure("Invariant: an object is read by one reader")
        }
        defer { isReading.store(false, ordering: .releasing) }
        let buffer: ByteBuffer?
        do {
            buffer = try await iterator.next()
        } catch {
            throw ObjectError(.unavailable, "an object broke off after \(count) of \(byteCount) bytes")
        }
        guard let buffer else {
            guard count == byteCount else {
                throw ObjectError(.corrupt, "an object of \(byteCount) bytes ended after \(count)")
            }
            return nil
        }
        count += buffer.readableBytes
        return Array(buffer.readableBytesView)
    }
}

/// The little of XML that S3's answers need.
enum XMLText {
    /// The text of the first element with this name.
    static func content(of name: String, in bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let start = text.firstRange(of: "<\(name)>"),
            let end = text[start.upperBound...].firstRange(of: "</\(name)>")
        else { return nil }
        var content = String(text[start.upperBound..<end.lowerBound])
        for (escaped, plain) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
            content = content.replacing(escaped, with: plain)
        }
        return content
    }

    static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}
