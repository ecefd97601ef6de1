internal import NIOSSL
internal import Synchronization

/// What was wrong with a certificate or its key.
package struct CertificateError: Error, CustomStringConvertible {
    package var description: String
}

/// The certificate with which the server shows who it is, and which may be replaced while it serves: connections that are open
/// keep the one they have.
package final class ServerCertificate: Sendable {
    private let current: Mutex<NIOSSLContext>

    /// Takes the chain of certificates, the server's own first, and its private key, both as PEM (RFC 7468).
    package init(chain: [UInt8], key: [UInt8]) throws(CertificateError) {
        current = Mutex(try Self.context(chain, key))
    }

    /// Uses another one from the next connection on; where it cannot be used the old one stays.
    package func replace(chain: [UInt8], key: [UInt8]) throws(CertificateError) {
        let context = try Self.context(chain, key)
        current.withLock { $0 = context }
    }

    var context: NIOSSLContext { current.withLock { $0 } }

    private static func context(_ chain: [UInt8], _ key: [UInt8]) throws(CertificateError) -> NIOSSLContext {
        let certificates: [NIOSSLCertificate]
        do {
            certificates = try NIOSSLCertificate.fromPEMBytes(chain)
        } catch {
            throw CertificateError(description: "the certificate is no PEM text")
        }
        guard !certificates.isEmpty else { throw CertificateError(description: "there is no certificate") }
        let privateKey: NIOSSLPrivateKey
        do {
            privateKey = try NIOSSLPrivateKey(bytes: key, format: .pem)
        } catch {
            throw CertificateError(description: "the key is no PEM text of a private key without a passphrase")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(privateKey))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw CertificateError(
                description: "the key does not belong to the certificate, or is of a kind that cannot be used")
        }
    }
}
