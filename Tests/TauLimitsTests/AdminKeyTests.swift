import Foundation
import TauCore
import TauLimits
import Testing

@Suite struct AdminKeyTests {
    /// A path in a directory of its own.
    static func path() throws -> String {
        let directory = NSTemporaryDirectory() + "tau-key-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        return directory + "/admin.key"
    }

    @Test func `only the key itself is let through`() async throws {
        let key = AdminKey.generate()
        let authenticator = try AdminKey(key)
        #expect(authenticator.matches(key))
        for wrong in ["", "x", String(key.dropLast()), key + "x", key.uppercased(), AdminKey.generate()] {
            #expect(!authenticator.matches(wrong))
        }
    }

    @Test func `keys are long, random, and short ones are refused`() throws {
        #expect(AdminKey.generate() != AdminKey.generate())
        #expect(AdminKey.generate().utf8.count == 74)
        #expect(throws: AdminKey.Failure.self) { try AdminKey("fifteen bytes!!") }
    }

    @Test func `the first start makes the file for its owner alone, later ones read it`() throws {
        let path = try Self.path()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let key = try AdminKey.load(path: path)
        #expect(try AdminKey.load(path: path) == key)
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
        let failure = #expect(throws: AdminKey.Failure.self) { try AdminKey.load(path: path) }
        #expect(failure?.description.contains("chmod 600") == true)
        #expect(failure?.description.contains(key) == false)
    }

    @Test func `a file without a key, or a link, is refused`() throws {
        let path = try Self.path()
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = FileManager.default.createFile(
            atPath: path, contents: Data("\n".utf8), attributes: [.posixPermissions: 0o600])
        #expect(throws: AdminKey.Failure.self) { try AdminKey.load(path: path) }
        let link = path + ".link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        #expect(throws: AdminKey.Failure.self) { try AdminKey.load(path: link) }
    }
}
