/// Where objects are kept: names and bytes.
package protocol ObjectBucket: Sendable {
    /// Stores an object; who reads it meanwhile gets the old one or the new one, whole.
    func put(_ key: String, _ content: ObjectContent) async throws(ObjectError)

    /// An object's bytes, from its beginning.
    func get(_ key: String) async throws(ObjectError) -> ObjectContent

    /// Bytes of an object; nil where there is none.
    func size(of key: String) async throws(ObjectError) -> Int?

    /// Nothing happens where there is none.
    func delete(_ key: String) async throws(ObjectError)
}

/// Bytes that are taken piece by piece, once, by one reader.
package struct ObjectContent: Sendable {
    package let byteCount: Int
    private let nextPiece: @Sendable () async throws(ObjectError) -> [UInt8]?

    /// `next` answers pieces of at least one byte, `byteCount` in all, and then nil.
    package init(byteCount: Int, next: @escaping @Sendable () async throws(ObjectError) -> [UInt8]?) {
        self.byteCount = byteCount
        nextPiece = next
    }

    package init(_ bytes: [UInt8]) {
        let pieces = OnePiece(bytes)
        self.init(byteCount: bytes.count) { () throws(ObjectError) in await pieces.take() }
    }

    package func next() async throws(ObjectError) -> [UInt8]? { try await nextPiece() }

    private actor OnePiece {
        private var bytes: [UInt8]?

        init(_ bytes: [UInt8]) { self.bytes = bytes.isEmpty ? nil : bytes }

        func take() -> [UInt8]? {
            defer { bytes = nil }
            return bytes
        }
    }
}

/// Why an object cannot be had or stored.
package struct ObjectError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        case notFound
        /// The bucket does not let us in.
        case denied
        /// The bucket does not answer, or not as it should, after all attempts.
        case unavailable
        /// The bytes that came are not those that were meant.
        case corrupt
        case badConfiguration
        /// Who was to give the bytes could not.
        case source
    }

    package var code: Code
    /// Names no secret.
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}

/// Where a bucket is, as its URL says: `s3://bucket/prefix` or `file:///directory`.
package enum ObjectLocation: Sendable, Hashable {
    case directory(String)
    case s3(bucket: String, prefix: String)

    package init(url: String) throws(ObjectError) {
        if url.hasPrefix("file:///"), url.utf8.count > 8 {
            self = .directory(String(url.dropFirst(7)))
        } else if url.hasPrefix("s3://") {
            let parts = url.dropFirst(5).split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let bucket = parts.first, !bucket.isEmpty, bucket.utf8.allSatisfy(Self.isBucketByte) else {
                throw ObjectError(.badConfiguration, "an S3 URL is s3://bucket or s3://bucket/prefix")
            }
            let prefix = parts.count > 1 ? parts[1].split(separator: "/").joined(separator: "/") : ""
            self = .s3(bucket: String(bucket), prefix: prefix.isEmpty ? "" : prefix + "/")
        } else {
            throw ObjectError(.badConfiguration, "a bucket's URL begins with s3:// or file:///")
        }
    }

    private static func isBucketByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
