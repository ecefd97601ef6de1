import Glibc
import TauWire
import Testing

/// Answers of a real model server, which lie beside the package.
struct CaptureTests {
    @Test(.enabled(if: !Captures.names.isEmpty), arguments: Captures.names)
    func `a captured stream gives the same events however it is cut`(_ name: String) throws {
        let bytes = try Captures.bytes(name)
        let whole = try events(of: bytes)
        #expect(try events(of: bytes, chunkSizes: [1]) == whole)
        var generator = SeededGenerator(seed: UInt64(bytes.count))
        for _ in 0..<5 {
            let sizes = (0..<bytes.count).map { _ in Int.random(in: 1...700, using: &generator) }
            #expect(try events(of: bytes, chunkSizes: sizes) == whole)
        }
    }

    @Test(.enabled(if: !Captures.names.isEmpty))
    func `the events of a captured stream are those that were sent`() throws {
        let name = try #require(Captures.names.first { $0 == "messages-text-stream.raw" })
        let types = try events(of: Captures.bytes(name)).map(\.type)
        #expect(types.first == "message_start")
        #expect(types.suffix(3) == ["content_block_stop", "message_delta", "message_stop"])
    }
}

/// The bodies of the captured answers.
enum Captures {
    static let directory: String? = {
        guard let file = realpath(#filePath, nil) else { return nil }
        defer { free(file) }
        let root = String(cString: file).split(separator: "/").dropLast(3).joined(separator: "/")
        return "/\(root)/../shared/data/llm"
    }()

    static let names: [String] = {
        guard let directory, let stream = opendir(directory) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".raw") { names.append(name) }
        }
        return names.sorted()
    }()

    static func bytes(_ name: String) throws -> [UInt8] {
        let file = try #require(fopen((directory ?? "") + "/" + name, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        let end = try #require(bytes.firstRange(of: Array("\r\n\r\n".utf8)))
        let isChunked = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).lowercased().contains("chunked")
        let body = Array(bytes[end.upperBound...])
        return isChunked ? withoutChunks(body) : body
    }

    private static func withoutChunks(_ bytes: [UInt8]) -> [UInt8] {
        var body: [UInt8] = []
        var position = 0
        while let end = bytes[position...].firstRange(of: Array("\r\n".utf8)) {
            let size = Int(String(decoding: bytes[position..<end.lowerBound], as: UTF8.self), radix: 16) ?? 0
            guard size > 0 else { break }
            body += bytes[end.upperBound..<min(end.upperBound + size, bytes.count)]
            position = min(end.upperBound + size + 2, bytes.count)
        }
        return body
    }
}
