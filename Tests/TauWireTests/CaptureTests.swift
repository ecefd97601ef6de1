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

/// The raw files with the HTTP framing in them: noise in the stream, which must not depend on the chunks either.
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
        return bytes
    }
}
