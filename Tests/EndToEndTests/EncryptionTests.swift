import AsyncHTTPClient
import Foundation
import NIOSSL
import TauTestKit
import Testing

/// A server with a certificate of its own.
@Suite(.ownThreads, .timeLimit(.minutes(3))) struct EncryptionTests {
    /// Writes a certificate for localhost, which vouches for itself, and its key.
    private static func makeCertificate(in directory: TemporaryDirectory, serial: Int) throws {
        try openssl([
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-set_serial", "\(serial)",
            "-keyout", directory.path + "/key.pem", "-out", directory.path + "/certificate.pem",
        ])
    }

    private static func server(in directory: TemporaryDirectory, _ more: [String: String] = [:]) throws -> TauProcess {
        try TauProcess(
            in: directory,
            environment: [
                "TAU_HTTP_TLS_CERTIFICATE": directory.path + "/certificate.pem",
                "TAU_HTTP_TLS_KEY": directory.path + "/key.pem", "TAU_HTTP_TLS_RELOAD_SECONDS": "1",
            ].merging(more) { _, new in new })
    }

    /// What `openssl s_client` says of a connection to the server.
    private static func handshake(_ server: TauProcess, _ more: [String] = []) throws -> String {
        let address = try #require(server.url.split(separator: "//").last)
        return try openssl(["s_client", "-connect", String(address), "-servername", "localhost"] + more)
    }

    @discardableResult
    private static func openssl(_ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return text
    }

    /// The certificate that a new connection is shown.
    private static func certificate(_ server: TauProcess) throws -> String? {
        let text = try handshake(server)
        guard let start = text.range(of: "-----BEGIN"), let end = text.range(of: "END CERTIFICATE-----") else {
            return nil
        }
        return String(text[start.lowerBound..<end.upperBound])
    }

    @Test func `commands and clients speak to it, and who is not vouched for is not believed`() async throws {
        let directory = try TemporaryDirectory()
        try Self.makeCertificate(in: directory, serial: 1)
        let server = try Self.server(in: directory)
        #expect(server.url.hasPrefix("https://"))
        let port = try #require(server.url.split(separator: ":").last)
        let remote = ["sessions", "list", "--server", "https://localhost:\(port)", "--key", server.key]
        let vouched = try TauProcess.command(
            remote + ["--ca", directory.path + "/certificate.pem"], in: directory.path)
        #expect(vouched.code == 0, "\(vouched.errors)")
        let unknown = try TauProcess.command(remote, in: directory.path)
        #expect(unknown.code != 0 && unknown.errors.contains("does not answer"))
        // On the same machine the data directory tells who the server is.
        let local = try TauProcess.command(
            ["run", "Hello", "--data-dir", directory.path + "/data", "--key", server.key], in: directory.path)
        #expect(local.code == 0, "\(local.errors)")
        // Without encryption nothing is answered.
        await #expect(throws: (any Error).self) {
            try await APIClient.fetch(server.url.replacing("https://", with: "http://") + "/health/live")
        }
        let old = try Self.handshake(server, ["-tls1_1", "-cipher", "ALL@SECLEVEL=0"])
        #expect(!old.contains("BEGIN CERTIFICATE"), "\(old)")
        #expect(try Self.handshake(server, ["-tls1_2"]).contains("BEGIN CERTIFICATE"))
        server.stop()
    }

    @Test func `a renewed certificate is used without a restart, and a broken one is not`() throws {
        let directory = try TemporaryDirectory()
        try Self.makeCertificate(in: directory, serial: 1)
        let server = try Self.server(in: directory)
        let first = try #require(try Self.certificate(server))
        let path = directory.path + "/certificate.pem"
        try Data("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".utf8)
            .write(to: URL(fileURLWithPath: path))
        let deadline = ContinuousClock.now + .seconds(30)
        while !server.log.contains("the certificate was not replaced"), ContinuousClock.now < deadline {}
        #expect(server.log.contains("the certificate was not replaced"))
        #expect(try Self.certificate(server) == first)
        try Self.makeCertificate(in: directory, serial: 2)
        var shown = first
        while shown == first, ContinuousClock.now < deadline { shown = try #require(try Self.certificate(server)) }
        let file = try String(contentsOfFile: path, encoding: .utf8)
        #expect(file.contains(shown))
        server.stop()
    }

    @Test func `a key that belongs to another certificate is told at the start`() throws {
        let directory = try TemporaryDirectory()
        try Self.makeCertificate(in: directory, serial: 1)
        let key = try Data(contentsOf: URL(fileURLWithPath: directory.path + "/key.pem"))
        try Self.makeCertificate(in: directory, serial: 2)
        try key.write(to: URL(fileURLWithPath: directory.path + "/key.pem"))
        let started = try TauProcess.command(
            ["serve", "--port", "0"], in: directory.path,
            environment: ["TAU_HTTP_TLS_CERTIFICATE": "certificate.pem", "TAU_HTTP_TLS_KEY": "key.pem"])
        #expect(started.code == 78 && started.errors.contains("http.tls"), "\(started)")
        let half = try TauProcess.command(
            ["serve", "--port", "0"], in: directory.path, environment: ["TAU_HTTP_TLS_KEY": "key.pem"])
        #expect(half.code == 78 && half.errors.contains("http.tls.certificate"), "\(half)")
    }
}
