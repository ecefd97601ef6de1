import Foundation
import Glibc
import Synchronization
import TauSystem
import TauTestKit
import Testing

@testable import TauObjects

/// A server that answers each connection with the next of some texts, whatever it is asked, and closes it.
private final class AnsweringServer: Sendable {
    let port: UInt16
    private let answers: Mutex<[String]>
    private let listener: Int32
    private let received = Mutex<[String]>([])

    /// An empty answer closes the connection without one.
    init(_ answers: [String]) throws {
        self.answers = Mutex(answers)
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 10) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        try #require(isBound)
        port = UInt16(bigEndian: address.sin_port)
        try SystemThread.start { self.serve() }
    }

    var requests: [String] { received.withLock { $0 } }

    private func serve() {
        while let answer = answers.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            let text = Self.read(connection)
            received.withLock { $0.append(text) }
            let bytes = Array(answer.utf8)
            _ = send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            shutdown(connection, Int32(SHUT_WR))
            // Until the other side has closed, so that it is not reset before it has read.
            var rest = [UInt8](repeating: 0, count: 4096)
            while recv(connection, &rest, rest.count, 0) > 0 {}
            close(connection)
        }
        close(listener)
    }

    /// The head of a request, and as much of its body as it says.
    private static func read(_ connection: Int32) -> String {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            if let end = text.firstRange(of: "\r\n\r\n") {
                let length = text.lowercased().firstMatch(of: /content-length: (\d+)/).flatMap { Int($0.output.1) } ?? 0
                if text[end.upperBound...].utf8.count >= length { return text }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return text }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }
}

@Suite(.ownThreads, .timeLimit(.minutes(2))) struct S3FaultTests {
    private static let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    private static let failure = "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    private static func answer(_ status: String, _ body: String, _ headers: String = "") -> String {
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\(headers)\r\n\(body)"
    }

    private static func bucket(_ server: AnsweringServer, attempts: Int = 4) throws -> S3Bucket {
        let variables = [
            "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:\(server.port)",
        ]
        var configuration = try S3Configuration(bucket: "tests", prefix: "") { variables[$0] }
        configuration.minBackoffMilliseconds = 1
        configuration.maxBackoffMilliseconds = 2
        configuration.attempts = attempts
        return S3Bucket(configuration, client: BucketKind.http)
    }

    @Test func `failures and broken connections are tried again, with the whole body`() async throws {
        let server = try AnsweringServer([Self.failure, "", "HTTP/1.1 200 OK\r\nContent-Le", Self.empty])
        try await Self.bucket(server).put("k", ObjectContent(Array("the body".utf8)))
        #expect(server.requests.count == 4)
        #expect(server.requests.allSatisfy { $0.hasSuffix("the body") })
    }

    @Test func `after all attempts it is told`() async throws {
        let server = try AnsweringServer([Self.failure, Self.failure])
        let error = await #expect(throws: ObjectError.self) {
            try await Self.bucket(server, attempts: 2).put("k", ObjectContent([1]))
        }
        #expect(error?.code == .unavailable)
    }

    @Test func `a body that ends early is not taken for the object`() async throws {
        let server = try AnsweringServer([
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nonly this"
        ])
        let content = try await Self.bucket(server).get("k")
        #expect(content.byteCount == 100)
        await #expect(throws: ObjectError.self) { try await bytes(of: content) }
    }

    @Test func `a clock that is wrong is set right once`() async throws {
        let skewed = Self.answer(
            "403 Forbidden", "<Error><Code>RequestTimeTooSkewed</Code></Error>",
            "Date: Sun, 30 Aug 2015 12:36:00 GMT\r\n")
        let server = try AnsweringServer([skewed, Self.empty])
        try await Self.bucket(server).put("k", ObjectContent([1]))
        #expect(server.requests[1].contains("20150830T1236"))
        let again = try AnsweringServer([skewed, skewed])
        let error = await #expect(throws: ObjectError.self) {
            try await Self.bucket(again).put("k", ObjectContent([1]))
        }
        #expect(error?.code == .denied)
    }

    @Test func `an upload whose parts cannot be put together has failed, and is taken back`() async throws {
        let started = Self.answer("200 OK", "<R><UploadId>u&amp;1</UploadId></R>")
        let part = Self.answer("200 OK", "", "ETag: \"e\"\r\n")
        let failed = Self.answer("200 OK", "<Error><Code>InternalError</Code></Error>")
        let server = try AnsweringServer([started, part, part, failed, Self.empty])
        let size = (16 << 20) + 1
        let error = await #expect(throws: ObjectError.self) {
            try await Self.bucket(server).put("k", ObjectContent([UInt8](repeating: 120, count: size)))
        }
        #expect(error?.code == .unavailable)
        #expect(server.requests.last?.hasPrefix("DELETE /tests/k?uploadId=u%261 ") == true)
    }
}
