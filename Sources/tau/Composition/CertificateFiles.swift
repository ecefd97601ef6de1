internal import Configuration
internal import Glibc
internal import Logging
internal import ServiceLifecycle
internal import TauHTTP
internal import TauSystem

/// Where the certificate lies with which the server shows who it is (`http.tls.certificate`, `http.tls.key`).
struct CertificateFiles: Sendable {
    var chainPath: String
    var keyPath: String
    /// Seconds between looks whether the files have changed (`http.tls.reloadSeconds`).
    var reloadSeconds = 10

    private static let maxBytes = 1 << 20

    /// What both files hold.
    struct Contents: Equatable, Sendable {
        var chain: [UInt8]
        var key: [UInt8]
    }

    func read() throws -> Contents {
        Contents(
            chain: try SecretFile.read(chainPath, maxBytes: Self.maxBytes),
            key: try SecretFile.read(keyPath, maxBytes: Self.maxBytes))
    }
}

extension CertificateFiles {
    init?(_ settings: Settings) throws {
        let paths = (settings.string("http.tls.certificate"), settings.string("http.tls.key"))
        switch paths {
        case (nil, nil): return nil
        case (let chain?, let key?): (chainPath, keyPath) = (chain, key)
        case (nil, _): throw ConfigurationFailure(key: "http.tls.certificate", problem: "is needed beside http.tls.key")
        case (_, nil): throw ConfigurationFailure(key: "http.tls.key", problem: "is needed beside http.tls.certificate")
        }
        reloadSeconds = try settings.integer("http.tls.reloadSeconds", 1...86_400) ?? reloadSeconds
    }
}

/// The certificate of a server, which follows its files: whoever renews them need not restart anything.
struct CertificateService: Service {
    let files: CertificateFiles
    let certificate: ServerCertificate
    let logger: Logger
    private let first: CertificateFiles.Contents
    private let threads = BlockingThreads(count: 1)

    init(_ files: CertificateFiles, logger: Logger) throws {
        self.files = files
        self.logger = logger
        do {
            first = try files.read()
            certificate = try ServerCertificate(chain: first.chain, key: first.key)
        } catch {
            throw ConfigurationFailure(key: "http.tls", problem: "cannot be used: \(error)")
        }
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var known = first
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(files.reloadSeconds))
                await follow(&known)
            }
        }
    }

    private func follow(_ known: inout CertificateFiles.Contents) async {
        let files = files
        do {
            let now = try await threads.run { Result { try files.read() } }.get()
            guard now != known else { return }
            // Written one after the other, they may not belong together yet: the next look tells.
            try certificate.replace(chain: now.chain, key: now.key)
            known = now
            logger.notice("the certificate was replaced", metadata: ["file": "\(files.chainPath)"])
        } catch {
            logger.error("the certificate was not replaced", metadata: ["reason": "\(error)"])
        }
    }
}
