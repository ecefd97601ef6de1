// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "tau",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "tau", targets: ["tau"]),
        .library(name: "TauKit", targets: ["TauKit"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-service-context", from: "1.5.1"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/vapor/jwt-kit", from: "5.7.1"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // Floor 1: the domain, the byte protocols, the operating system.
        .target(
            name: "TauCore",
            dependencies: [
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings),
        .target(name: "TauWire", swiftSettings: settings),
        .target(name: "CTauSystem", linkerSettings: [.linkedLibrary("z")]),
        .target(name: "CTauPattern", linkerSettings: [.linkedLibrary("re2")]),
        .systemLibrary(name: "CSeccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CUnicode", providers: [.apt(["libutf8proc-dev"])]),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .target(
            name: "TauSystem",
            dependencies: [
                "CTauSystem", .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: settings),

        .target(name: "TauPostgres", dependencies: ["CPostgres", "TauSystem"], swiftSettings: settings),

        .target(
            name: "TauObjects",
            dependencies: [
                "TauSystem",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(
            name: "TauRedis",
            dependencies: [
                "TauSystem",
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings),

        // Floor 2: adapters behind the ports of TauCore. Siblings never import each other.
        .target(
            name: "TauProviders",
            dependencies: [
                "TauCore", "TauWire",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .target(
            name: "TauTools",
            dependencies: [
                "TauCore", "TauSystem", "CSeccomp", "CTauPattern", "CUnicode",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .target(
            name: "TauStorage",
            dependencies: [
                "TauCore", "TauObjects", "TauPostgres", "TauRedis", "TauSystem",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .target(
            name: "TauLimits",
            dependencies: [
                "TauCore", "TauRedis", "TauSystem", .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: settings),
        .target(
            name: "TauTelemetry",
            dependencies: [
                "TauCore", "TauSystem", .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Instrumentation", package: "swift-distributed-tracing"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings),

        // Floor 3: the agent at work.
        .target(
            name: "TauRuntime",
            dependencies: [
                "TauCore",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings),

        // Floor 4: the agent for other programs, and the edge.
        .target(
            name: "TauKit",
            dependencies: [
                "TauCore", "TauObjects", "TauPostgres", "TauProviders", "TauRedis", "TauRuntime", "TauStorage",
                "TauSystem", "TauTools",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .target(
            name: "TauHTTP",
            dependencies: [
                "TauCore", "TauRuntime", "TauWire",
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Instrumentation", package: "swift-distributed-tracing"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
            ],
            swiftSettings: settings),

        // Floor 5: command line, configuration, composition.
        .executableTarget(
            name: "tau",
            dependencies: [
                "TauCore", "TauHTTP", "TauKit", "TauLimits", "TauPostgres", "TauProviders", "TauRedis", "TauRuntime",
                "TauStorage",
                "TauSystem", "TauTelemetry", "TauTools", "TauWire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceContextModule", package: "swift-service-context"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: settings),

        // Tests, one target a module; TauTestKit holds what they share.
        .target(
            name: "TauTestKit",
            dependencies: ["TauCore", "TauSystem"],
            path: "Tests/TauTestKit",
            swiftSettings: settings),
        .testTarget(name: "TauCoreTests", dependencies: ["TauCore", "TauTestKit"], swiftSettings: settings),
        .testTarget(name: "TauWireTests", dependencies: ["TauWire", "TauTestKit"], swiftSettings: settings),
        .testTarget(
            name: "TauProvidersTests",
            dependencies: [
                "TauProviders", "TauRuntime", "TauCore", "TauTestKit", "TauWire",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "TauToolsTests",
            dependencies: [
                "TauTools", "TauSystem", "TauCore", "TauTestKit",
                .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "TauRuntimeTests",
            dependencies: [
                "TauRuntime", "TauCore", "TauTestKit", .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "CrashWriter",
            dependencies: ["TauStorage", "TauSystem", "TauCore", .product(name: "Logging", package: "swift-log")],
            path: "Tests/CrashWriter",
            swiftSettings: settings),
        .testTarget(
            name: "TauKitTests",
            dependencies: ["TauKit", "TauTestKit", .product(name: "Logging", package: "swift-log")],
            swiftSettings: settings),
        .testTarget(
            name: "CommandTests", dependencies: ["tau", "TauCore", "TauProviders", "TauRuntime"],
            swiftSettings: settings),
        .testTarget(
            name: "TauPostgresTests", dependencies: ["TauPostgres", "TauSystem", "TauTestKit"], swiftSettings: settings),
        .testTarget(
            name: "TauObjectsTests",
            dependencies: [
                "TauObjects", "TauSystem", "TauTestKit",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "NIOCore", package: "swift-nio"),
            ], swiftSettings: settings),
        .testTarget(
            name: "TauRedisTests", dependencies: ["TauRedis", "TauSystem", "TauTestKit"], swiftSettings: settings),
        .testTarget(name: "TauHTTPTests", dependencies: ["TauHTTP"], swiftSettings: settings),
        .testTarget(
            name: "TauLimitsTests",
            dependencies: [
                "TauLimits", "TauCore", "TauRedis", "TauSystem", "TauTestKit",
                .product(name: "JWTKit", package: "jwt-kit"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "TauTelemetryTests",
            dependencies: ["TauTelemetry", "TauCore", .product(name: "Logging", package: "swift-log")],
            swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "tau", "TauCore", "TauPostgres", "TauWire", "TauTestKit",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "TauStorageTests",
            dependencies: [
                "TauStorage", "TauRuntime", "TauObjects", "TauPostgres", "TauRedis", "TauSystem", "TauCore",
                "TauTestKit", "CrashWriter",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
    ], cxxLanguageStandard: .cxx17
)
