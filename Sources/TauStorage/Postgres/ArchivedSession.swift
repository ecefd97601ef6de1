internal import Crypto
internal import TauCore
internal import TauObjects
internal import TauSystem

/// The object that holds an archived session, as its row tells.
struct ArchivedSession: Sendable {
    var key: String
    var byteCount: Int
    /// In hexadecimal digits.
    var sha256: String

    init(key: String, byteCount: Int, sha256: String) {
        self.key = key
        self.byteCount = byteCount
        self.sha256 = sha256
    }

    init?(json bytes: [UInt8]) {
        guard let json = try? JSONValue(parsing: bytes), let key = json["key"]?.string,
            let byteCount = json["bytes"]?.integer, let sha256 = json["sha256"]?.string
        else { return nil }
        self.init(key: key, byteCount: byteCount, sha256: sha256)
    }

    static func key(of id: SessionID) -> String { "archives/\(id).jsonl" }

    /// The object's bytes; the last piece comes only if all of them are the session's.
    func content(in bucket: any ObjectBucket) async throws(ObjectError) -> CheckedContent {
        let content = try await bucket.get(key)
        guard content.byteCount == byteCount else {
            throw ObjectError(.corrupt, "an archived session has \(content.byteCount) bytes instead of \(byteCount)")
        }
        return CheckedContent(content, sha256: sha256)
    }
}

/// Bytes whose checksum is looked at on the way.
actor CheckedContent {
    private let content: ObjectContent
    private let expected: String?
    private var hash = SHA256()
    private var count = 0
    /// Held back until what follows is known.
    private var last: [UInt8]?

    /// `sha256` is what the bytes must have; nil for any.
    init(_ content: ObjectContent, sha256 expected: String?) {
        self.content = content
        self.expected = expected
    }

    var byteCount: Int { count }
    var sha256: String { hash.finalize().hexadecimalDigits }

    func next() async throws(ObjectError) -> [UInt8]? {
        while true {
            let piece = try await content.next()
            if let piece {
                hash.update(data: piece)
                count += piece.count
            } else if let expected, last != nil, sha256 != expected {
                throw ObjectError(.corrupt, "an archived session is not what was archived: its checksum differs")
            }
            let ready = last
            last = piece
            if ready != nil || piece == nil { return ready }
        }
    }

    /// Reads everything.
    func all() async throws(ObjectError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(content.byteCount)
        while let piece = try await next() { bytes += piece }
        return bytes
    }
}

extension StoreError {
    init(_ error: ObjectError) { self.init(.unavailable, "the archive: \(error.message)") }
}

func archiving<Value>(_ body: () async throws(ObjectError) -> Value) async throws(StoreError) -> Value {
    do throws(ObjectError) {
        return try await body()
    } catch {
        throw StoreError(error)
    }
}
