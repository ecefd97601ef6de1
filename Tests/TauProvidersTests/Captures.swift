import Glibc
import TauCore
import TauWire
import Testing

@testable import TauProviders

/// Answers of a real model server, which lie beside the package.
enum Captures {
    static let root: String? = {
        guard let file = realpath(#filePath, nil) else { return nil }
        defer { free(file) }
        return "/" + String(cString: file).split(separator: "/").dropLast(3).joined(separator: "/") + "/../shared/data"
    }()

    static let isPresent = (try? file("llm/health.raw")) != nil

    static func file(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen((root ?? "") + "/" + path, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        return bytes
    }

    /// Status and body of a captured answer, without the HTTP framing.
    static func answer(_ name: String) throws -> (status: Int, body: [UInt8]) {
        let bytes = try file("llm/\(name).raw")
        let end = try #require(bytes.firstRange(of: Array("\r\n\r\n".utf8)))
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        let status = try #require(Int(head.split(separator: " ")[1]))
        let body = Array(bytes[end.upperBound...])
        return (status, head.lowercased().contains("chunked") ? dechunked(body) : body)
    }

    private static func dechunked(_ bytes: [UInt8]) -> [UInt8] {
        var body: [UInt8] = []
        var position = 0
        while let end = bytes[position...].firstRange(of: Array("\r\n".utf8)) {
            guard let size = Int(String(decoding: bytes[position..<end.lowerBound], as: UTF8.self), radix: 16),
                size > 0
            else { break }
            body += bytes[end.upperBound..<min(end.upperBound + size, bytes.count)]
            position = min(end.upperBound + size + 2, bytes.count)
        }
        return body
    }
}

/// What a decoder makes of a stream.
struct Decoded: Equatable {
    var content: [ContentBlock] = []
    var usage = Usage()
    var reply: ModelReply?
    var error: ProviderError?
    var events: [ModelEvent] = []

    init(_ bytes: [UInt8], _ decoder: some AnswerDecoder, chunkSize: Int = .max) {
        var decoder = decoder
        var parser = EventStreamParser()
        var assembler = MessageAssembler()
        var events: [ModelEvent] = []
        func sink(_ event: ModelEvent) {
            assembler.apply(event)
            events.append(event)
        }
        do {
            var start = 0
            while start < bytes.count {
                let end = start + min(chunkSize, bytes.count - start)
                var received: [ServerSentEvent] = []
                try parser.push(Array(bytes[start..<end]), into: &received)
                for event in received where !decoder.isComplete { try decoder.decode(event, to: sink) }
                start = end
            }
            reply = try decoder.finish(to: sink)
        } catch {
            self.error = error as? ProviderError
        }
        content = assembler.content
        usage = assembler.usage
        self.events = events
    }

    /// The data of events as a Chat Completions stream.
    static func chat(_ chunks: String..., prices: Prices? = nil) -> Decoded {
        Decoded(Array(chunks.map { "data: \($0)\n\n" }.joined().utf8), ChatAnswer(prices: prices))
    }

    /// The data of events as a Messages stream.
    static func messages(_ chunks: String..., prices: Prices? = nil) -> Decoded {
        Decoded(Array(chunks.map { "data: \($0)\n\n" }.joined().utf8), MessagesAnswer(prices: prices))
    }
}

func toolCall(_ id: String, _ name: String, _ arguments: JSONValue = [:]) -> ContentBlock {
    .toolCall(ToolCall(id: id, name: name, arguments: arguments.object ?? JSONObject()))
}

func thinking(_ text: String, _ signature: String? = nil, isRedacted: Bool = false) -> ContentBlock {
    .thinking(ThinkingBlock(thinking: text, signature: signature, isRedacted: isRedacted))
}
