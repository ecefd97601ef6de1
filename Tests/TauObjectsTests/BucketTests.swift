import AsyncHTTPClient
import Crypto
import Foundation
import Glibc
import NIOCore
import TauSystem
import TauTestKit
import Testing

@testable import TauObjects

/// Buckets of every kind, each with what it needs.
enum BucketKind: String, CaseIterable, Sendable {
    case directory, rclone, ceph

    static let servers = [
        ObjectServer.Kind.rclone: Result { try ObjectServer(.rclone) },
        ObjectServer.Kind.ceph: Result { try ObjectServer(.ceph) },
    ]

    static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.read = .seconds(30)
        return HTTPClient(configuration: configuration)
    }()

    func server() throws -> ObjectServer? {
        guard let kind = ObjectServer.Kind(rawValue: rawValue) else { return nil }
        return try Self.servers[kind]?.get()
    }

    /// A place of its own within the bucket.
    func bucket(
        secret: String? = nil, _ change: (inout S3Configuration) -> Void = { _ in }
    ) async throws -> any ObjectBucket {
        let prefix = "tests-\(UUID().uuidString)/"
        guard let server = try server() else {
            return DirectoryBucket(path: NSTemporaryDirectory() + prefix, threads: BlockingThreads(count: 2))
        }
        if self == .ceph { try await Self.makeBucket(server) }
        var variables = server.variables
        if let secret { variables["AWS_SECRET_ACCESS_KEY"] = secret }
        var configuration = try S3Configuration(bucket: ObjectServer.bucket, prefix: prefix) { variables[$0] }
        configuration.partBytes = 5 << 20
        configuration.minBackoffMilliseconds = 1
        configuration.maxBackoffMilliseconds = 5
        change(&configuration)
        return S3Bucket(configuration, client: Self.http)
    }

    private static func makeBucket(_ server: ObjectServer) async throws {
        let configuration = try S3Configuration(bucket: ObjectServer.bucket, prefix: "") { server.variables[$0] }
        _ = try await S3Requests(configuration: configuration, client: http).send("PUT", "")
    }
}

func bytes(of content: ObjectContent) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let piece = try await content.next() { bytes += piece }
    return bytes
}

/// Pieces of odd sizes.
func content(_ bytes: [UInt8]) -> ObjectContent {
    let pieces = Pieces(bytes)
    return ObjectContent(byteCount: bytes.count) { () throws(ObjectError) in await pieces.next() }
}

private actor Pieces {
    private var rest: ArraySlice<UInt8>
    private var size = 1

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    func next() -> [UInt8]? {
        guard !rest.isEmpty else { return nil }
        size = min(1 << 20, size * 3 + 1)
        defer { rest = rest.dropFirst(size) }
        return Array(rest.prefix(size))
    }
}

@Suite(.ownThreads, .timeLimit(.minutes(3))) struct BucketTests {
    @Test(arguments: BucketKind.allCases)
    func `what was stored is read back, replaced and deleted`(_ kind: BucketKind) async throws {
        let bucket = try await kind.bucket()
        #expect(try await bucket.size(of: "archives/none.jsonl") == nil)
        await #expect(throws: ObjectError.self) { try await bucket.get("archives/none.jsonl") }
        try await bucket.delete("archives/none.jsonl")
        for text in ["first", "", "second and longer"] {
            try await bucket.put("archives/one.jsonl", ObjectContent(Array(text.utf8)))
            #expect(try await bucket.size(of: "archives/one.jsonl") == text.utf8.count)
            #expect(try await bytes(of: bucket.get("archives/one.jsonl")) == Array(text.utf8))
        }
        try await bucket.delete("archives/one.jsonl")
        #expect(try await bucket.size(of: "archives/one.jsonl") == nil)
    }

    @Test(arguments: BucketKind.allCases)
    func `large objects go in parts and come back byte by byte`(_ kind: BucketKind) async throws {
        let bucket = try await kind.bucket()
        var random = SeededGenerator(seed: 3)
        for size in [5 << 20, (5 << 20) + 1, 23_000_001] {
            let object = (0..<size).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            try await bucket.put("large", content(object))
            #expect(SHA256.hash(data: try await bytes(of: bucket.get("large"))) == SHA256.hash(data: object))
        }
        try await bucket.delete("large")
    }

    @Test(arguments: [BucketKind.rclone, .ceph])
    func `names with any characters are signed as they should`(_ kind: BucketKind) async throws {
        let bucket = try await kind.bucket()
        for key in ["a b+c", "ä/€", "100%", "x=y&z", "(1)'*!~"] {
            try await bucket.put(key, ObjectContent(Array(key.utf8)))
            #expect(try await bytes(of: bucket.get(key)) == Array(key.utf8))
        }
    }

    @Test(arguments: [BucketKind.rclone, .ceph])
    func `who has the wrong key is not let in`(_ kind: BucketKind) async throws {
        let bucket = try await kind.bucket(secret: "wrong-secret-key")
        let error = await #expect(throws: ObjectError.self) { try await bucket.put("x", ObjectContent([1])) }
        #expect(error?.code == .denied)
        #expect(error?.message.contains("wrong-secret-key") == false)
    }

    @Test(arguments: BucketKind.allCases)
    func `fewer bytes than announced are not stored`(_ kind: BucketKind) async throws {
        let bucket = try await kind.bucket()
        for size in [10, 11 << 20] {
            let short = ObjectContent(byteCount: size + 1) { () throws(ObjectError) in nil }
            let error = await #expect(throws: ObjectError.self) { try await bucket.put("short", short) }
            #expect(error?.code == .source)
            #expect(try await bucket.size(of: "short") == nil)
        }
    }

    @Test(arguments: ["../x", "a//b", "/a", ".hidden", "a/../b", "", "a/", "nul\0"])
    func `a directory keeps to itself`(_ key: String) async throws {
        let bucket = try await BucketKind.directory.bucket()
        let error = await #expect(throws: ObjectError.self) { try await bucket.put(key, ObjectContent([1])) }
        #expect(error?.code == .badConfiguration)
    }

    @Test func `other clients read what we wrote, and we what they wrote`() async throws {
        let server = try #require(try BucketKind.ceph.server())
        let bucket = try await BucketKind.ceph.bucket { $0.prefix = "shared/" }
        try await bucket.put("ours", ObjectContent(Array("from us".utf8)))
        let python = try ObjectServer.directory() + "/venv/bin/python"
        let script = """
            import botocore.session
            s3 = botocore.session.get_session().create_client("s3", endpoint_url="\(server.endpoint)")
            assert s3.get_object(Bucket="tests", Key="shared/ours")["Body"].read() == b"from us"
            s3.put_object(Bucket="tests", Key="shared/theirs", Body=b"from them")
            print("done")
            """
        #expect(try Self.run(python, ["-c", script], server.variables).contains("done"))
        #expect(try await bytes(of: bucket.get("theirs")) == Array("from them".utf8))
        let aws = try ObjectServer.directory() + "/venv/bin/aws"
        let listed = try Self.run(python, [aws, "s3", "ls", "s3://tests/shared/"], server.variables)
        #expect(listed.contains("ours") && listed.contains("theirs"))
    }

    private static func run(
        _ program: String, _ arguments: [String], _ variables: [String: String]
    ) throws -> String {
        let pipe = try TauSystem.Pipe()
        let child = try ChildProcess.spawn(
            ChildRequest(
                executable: program, arguments: arguments,
                environment: variables.map { "\($0.key)=\($0.value)" } + ["PATH=/usr/bin:/bin"],
                output: pipe.writing.number))
        let output = String(decoding: try pipe.closingWritingEnd().readAll(limit: 1 << 20) ?? [], as: UTF8.self)
        _ = child.reap()
        return output
    }

    @Test func `URLs of buckets`() throws {
        #expect(try ObjectLocation(url: "s3://b") == .s3(bucket: "b", prefix: ""))
        #expect(try ObjectLocation(url: "s3://b/a/c/") == .s3(bucket: "b", prefix: "a/c/"))
        #expect(try ObjectLocation(url: "file:///srv/x") == .directory("/srv/x"))
        for url in ["", "s3://", "s3:///x", "file://x", "file:///", "https://b", "s3://b!/x"] {
            #expect(throws: ObjectError.self, "\(url)") { try ObjectLocation(url: url) }
        }
    }
}
