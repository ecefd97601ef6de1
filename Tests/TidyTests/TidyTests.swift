import Foundation
import Testing

/// The rules of the house, as tests.
@Suite struct TidyTests {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    struct Source {
        var module: String
        var path: String
        var lines: [Substring]
    }

    /// All Swift files below a directory of the checkout; the first part of the path below it is the module.
    static func sources(_ directory: String) throws -> [Source] {
        let base = root.appendingPathComponent(directory).path
        let names = try FileManager.default.subpathsOfDirectory(atPath: base).filter { $0.hasSuffix(".swift") }
        return try names.sorted().map { name in
            let text = try String(contentsOfFile: base + "/" + name, encoding: .utf8)
            return Source(
                module: String(name.prefix { $0 != "/" }), path: "\(directory)/\(name)",
                lines: text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    /// What each module may import of ours and of others; the README's table of floors says the same.
    static let allowed: [String: Set<String>] = [
        "TauCore": ["CoreMetrics", "ServiceContextModule", "Synchronization", "Tracing"],
        "TauWire": ["Glibc"],
        "TauSystem": ["CTauSystem", "Dispatch", "Glibc", "NIOConcurrencyHelpers", "NIOPosix", "Synchronization"],
        "TauPostgres": ["TauSystem", "CPostgres", "Glibc", "Synchronization"],
        "TauObjects": [
            "TauSystem", "AsyncHTTPClient", "Crypto", "Glibc", "NIOCore", "NIOHTTP1", "Synchronization",
        ],
        "TauRedis": ["TauSystem", "NIOCore", "NIOPosix", "NIOSSL", "Synchronization"],
        "TauProviders": [
            "TauCore", "TauWire", "AsyncHTTPClient", "Logging", "NIOCore", "NIOHTTP1", "Synchronization", "Glibc",
            "NIOFoundationEssentialsCompat", "FoundationEssentials",
        ],
        "TauTools": [
            "TauCore", "TauSystem", "CTauSystem", "CSeccomp", "CUnicode", "CTauPattern", "Glibc", "Logging",
            "Synchronization",
        ],
        "TauStorage": [
            "TauCore", "TauObjects", "TauPostgres", "TauRedis", "TauSystem", "Crypto", "GRDB", "Glibc", "Logging",
            "Synchronization",
        ],
        "TauLimits": [
            "TauCore", "TauRedis", "TauSystem", "Crypto", "JWTKit", "FoundationEssentials", "Glibc", "Synchronization",
        ],
        "TauTelemetry": [
            "TauCore", "TauSystem", "AsyncHTTPClient", "CoreMetrics", "Glibc", "Instrumentation", "Logging", "NIOCore",
            "NIOHTTP1", "ServiceContextModule", "Synchronization", "Tracing",
        ],
        "TauRuntime": [
            "TauCore", "Logging", "ServiceContextModule", "ServiceLifecycle", "Synchronization", "Tracing",
        ],
        "TauKit": [
            "TauCore", "TauObjects", "TauPostgres", "TauProviders", "TauRedis", "TauRuntime", "TauStorage", "TauSystem",
            "TauTools", "Logging",
            "ServiceLifecycle",
        ],
        "TauHTTP": [
            "TauCore", "TauRuntime", "TauWire", "Crypto", "Glibc", "HTTPTypes", "Hummingbird", "HummingbirdCore",
            "NIOHTTPTypes",
            "Instrumentation", "Logging", "NIOCore", "NIOSSL", "ServiceContextModule",
            "ServiceLifecycle",
            "Synchronization", "Tracing",
        ],
    ]

    @Test func `a module imports only what its floor allows`() throws {
        var seen: Set<String> = []
        for source in try Self.sources("Sources") where source.module != "tau" {
            seen.insert(source.module)
            let allowed = try #require(Self.allowed[source.module], "the module \(source.module) has no floor")
            for line in source.lines {
                guard
                    let match = line.firstMatch(
                        of: /^(?:@\w+ +)*(?:public |package |internal )?import +(?:\w+ +)?(\w+)/)
                else { continue }
                let name = String(match.output.1)
                #expect(allowed.contains(name), "\(source.path) imports \(name)")
            }
        }
        #expect(seen == Set(Self.allowed.keys))
    }

    @Test func `every measurement is told to backends`() throws {
        let source = try #require(try Self.sources("Sources").first { $0.path.hasSuffix("/Measurements.swift") })
        let text = source.lines.joined(separator: "\n")
        let parts = text.split(separator: "static let all", maxSplits: 1)
        let listed = Set(try #require(parts.last).matches(of: /\w+/).map { String($0.output) })
        let names = text.matches(of: /static let (\w+) =\s+\w+Measurement\(/).map { String($0.output.1) }
        #expect(names.count > 20)
        for name in names { #expect(listed.contains(name), "\(name) is not in Measurements.all") }
    }

    @Test func `a file has one subject`() throws {
        for source in try Self.sources("Sources") + Self.sources("Tests") {
            #expect(source.lines.count <= 500, "\(source.path) has \(source.lines.count) lines")
        }
    }

    @Test func `nothing that crashes, blocks or has no owner gets in unseen`() throws {
        let banned: [(pattern: String, instead: String)] = [
            ("try!", "handle the error"), ("as!", "use as?"), ("fatalError(", "throw, or state the invariant"),
            ("Task.detached", "a task group"),
            ("Thread.sleep", "wait for the event"), ("DispatchSemaphore", "await"), ("TODO", "do it"),
            ("FIXME", "do it"),
        ]
        for source in try Self.sources("Sources") {
            for (index, line) in source.lines.enumerated() where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                for (pattern, instead) in banned where line.contains(pattern) {
                    Issue.record("\(source.path):\(index + 1) has \(pattern): \(instead)")
                }
                #expect(
                    line.firstMatch(of: /\bTask(<.*>)? *(\(.*\) *)?\{/) == nil || line.contains("addTask"),
                    "\(source.path):\(index + 1) starts a task without an owner")
                for pattern in ["@unchecked Sendable", "nonisolated(unsafe)"] where line.contains(pattern) {
                    let above = source.lines[max(0, index - 4)..<index].contains { $0.contains("//") }
                    #expect(above, "\(source.path):\(index + 1) has \(pattern) without a comment that proves it right")
                }
            }
        }
    }

    @Test func `tests wait for events, not for time`() throws {
        for source in try Self.sources("Tests") where source.module != "TidyTests" {
            for (index, line) in source.lines.enumerated() {
                for pattern in ["Task.sleep", "Thread.sleep", "usleep("] where line.contains(pattern) {
                    Issue.record("\(source.path):\(index + 1) sleeps")
                }
            }
        }
    }

    @Test func `tests that block have threads of their own`() throws {
        let blocking = [
            "Process(", "CrashWriter(", "SmallDisk(", "AttackScene(", "BuiltPrograms.run(", "PostgresServer(",
            "PostgresCluster(", "CuttingProxy(", "TestDatabase()", "RedisServer(", "ObjectServer(", "AnsweringServer(",
        ]
        for source in try Self.sources("Tests") where source.module != "TidyTests" {
            let text = source.lines.joined(separator: "\n")
            guard text.contains("@Suite"), blocking.contains(where: text.contains) else { continue }
            #expect(text.contains(".ownThreads"), "\(source.path) blocks threads that all tests share")
        }
    }
}
