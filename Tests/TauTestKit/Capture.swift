/// A recorded answer of a real model server, without the HTTP around it.
public struct Capture {
    public let status: Int
    public let body: [UInt8]

    /// All of them, sorted; none where the data is missing.
    public static let names = SharedData.names("llm").filter { $0.hasSuffix(".raw") }.map { String($0.dropLast(4)) }

    /// Reads the capture of this name.
    public init(_ name: String) throws {
        let bytes = try SharedData.bytes("llm/\(name).raw")
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else {
            throw SharedData.Missing(description: "\(name) is no HTTP answer")
        }
        let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
        status = head.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        let body = Array(bytes[end.upperBound...])
        self.body = head.lowercased().contains("chunked") ? Self.withoutChunks(body) : body
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
