import Foundation
import Synchronization
import TauPostgres
import TauTestKit

/// Databases for servers that keep their sessions in PostgreSQL: one for each directory that a server is started on.
enum TestDatabase {
    /// Set where all servers of a test run are to do so (`TAU_TEST_STORE=postgres`).
    static let isEverywhere = ProcessInfo.processInfo.environment["TAU_TEST_STORE"] == "postgres"

    /// For tests of the files that other stores do not have.
    static var isOfFiles: Bool { !isEverywhere }

    static let server = Result { try PostgresServer() }
    private static let made = Mutex<[String: String]>([:])

    /// The variables by which servers of this directory find their database, which is made if it is not there.
    static func variables(for directory: TemporaryDirectory) throws -> [String: String] {
        let url = try made.withLock { made in
            if let known = made[directory.path] { return known }
            let server = try server.get()
            let name = "tau_" + UUID().uuidString.replacingOccurrences(of: "-", with: "").lowercased()
            var link = try PostgresLink.connect(PostgresConfiguration(url: server.url())) { _ in }
            for result in try link.run([PostgresStatement("CREATE DATABASE \(name)")], isAtomic: true) {
                _ = try result.get()
            }
            let url = server.url().replacingOccurrences(of: "/postgres", with: "/" + name)
            made[directory.path] = url
            return url
        }
        return ["TAU_STORE_KIND": "postgres", "TAU_POSTGRES_URL": url, "TAU_POSTGRES_LEASE_SECONDS": "3"]
    }
}
