/// What a caller may do. Every route of the API needs exactly one of them.
public struct Scopes: OptionSet, Hashable, Sendable {
    public let rawValue: Int

    public init(rawValue: Int) { self.rawValue = rawValue }

    public static let readSessions = Scopes(rawValue: 1 << 0)
    public static let writeSessions = Scopes(rawValue: 1 << 1)
    public static let readRuns = Scopes(rawValue: 1 << 2)
    /// Starts, steers and cancels runs.
    public static let writeRuns = Scopes(rawValue: 1 << 3)
    /// Decides on tool calls that wait.
    public static let decideApprovals = Scopes(rawValue: 1 << 4)
    public static let readUsage = Scopes(rawValue: 1 << 5)
    /// Manages the users and keys of the caller's own tenant.
    public static let administer = Scopes(rawValue: 1 << 6)
    /// Manages the users and keys of every tenant. No user has it: only the server's own admin key.
    public static let operate = Scopes(rawValue: 1 << 7)

    /// Reads the server's metrics, which tell of all tenants. No user has it: only the admin key, and a key for just this.
    public static let readMetrics = Scopes(rawValue: 1 << 8)

    /// The names that keys and tokens carry.
    private static let names: [(Scopes, String)] = [
        (.readSessions, "sessions:read"), (.writeSessions, "sessions:write"), (.readRuns, "runs:read"),
        (.writeRuns, "runs:write"), (.decideApprovals, "approvals:write"), (.readUsage, "usage:read"),
        (.administer, "admin"),
    ]

    /// The names of those that no key of a user carries.
    private static let operatorNames: [(Scopes, String)] = [(.operate, "operator"), (.readMetrics, "metrics")]

    /// All names that can be given.
    public static var allNames: [String] { names.map(\.1) }

    /// The names of these scopes, in a fixed order.
    public var names: [String] { (Self.names + Self.operatorNames).filter { contains($0.0) }.map(\.1) }

    /// The one scope of a name; nil for a name that is none.
    public init?(name: String) {
        guard let known = Self.names.first(where: { $0.1.hasSameBytes(as: name) }) else { return nil }
        self = known.0
    }

    /// Names that are none are left out.
    public init(names: some Sequence<some StringProtocol>) {
        self = names.reduce(into: []) { scopes, name in scopes.formUnion(Scopes(name: String(name)) ?? []) }
    }
}

/// What a user is in a tenant.
public enum Role: String, CaseIterable, Sendable {
    /// Also manages the users and keys of the tenant.
    case admin
    case user
    /// Reads what is theirs, and changes nothing.
    case viewer

    /// The most that a key of such a user may do.
    public var scopes: Scopes {
        switch self {
        case .viewer: [.readSessions, .readRuns, .readUsage]
        case .user:
            [.readSessions, .writeSessions, .readRuns, .writeRuns, .decideApprovals, .readUsage]
        case .admin: Role.user.scopes.union(.administer)
        }
    }
}
