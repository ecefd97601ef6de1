/// To whom a thing belongs: a user in a tenant. It never changes.
public struct Owner: Hashable, Sendable {
    public var tenantID: String
    public var userID: String

    public init(tenantID: String, userID: String) {
        self.tenantID = tenantID
        self.userID = userID
    }

    /// The one who runs the process: sessions that nobody else is named for are theirs.
    public static let local = Owner(tenantID: "default", userID: "admin")

    /// Whether a text may name a tenant or a user: 1 to 128 letters, digits and `.`, `_`, `-`, `@`, `+`, a letter or a digit first.
    public static func isName(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 128, first.isAlphanumeric else { return false }
        return text.utf8.allSatisfy { $0.isAlphanumeric || "._-@+".utf8.contains($0) }
    }

    /// Both names as one text, so that no two owners have the same.
    public var subject: String { "\(tenantID.utf8.count):\(tenantID)/\(userID)" }
}
