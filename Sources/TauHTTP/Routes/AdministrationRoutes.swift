internal import HTTPTypes
internal import Hummingbird
internal import NIOCore
internal import TauCore
internal import TauRuntime

/// `/admin`: users and keys. An administrator sees their own tenant; the one who runs the server sees all.
struct AdministrationRoutes: Sendable {
    let runtime: AgentRuntime
    let administration: Administration
    let configuration: EdgeConfiguration

    private var audit: Auditing { configuration.auditing }
    private var accounts: any AccountStore { administration.accounts }

    /// Runs a call of the account store and gives its failure as a problem.
    private func asking<Value>(
        _ missing: String = "There is no such user.", _ body: () async throws(StoreError) -> Value
    ) async throws(Problem) -> Value {
        do throws(StoreError) {
            return try await body()
        } catch {
            switch error.code {
            case .notFound: throw Problem(.notFound, missing)
            case .exists: throw Problem(.conflict, "There is such a user already.")
            default: throw Problem(RuntimeError(error))
            }
        }
    }

    // MARK: Tenants

    /// The tenant that a list is of; nil for all of them, which only the one who runs the server sees.
    private func listedTenant(_ request: Request, _ context: EdgeContext) throws(Problem) -> String? {
        let principal = try context.requirePrincipal()
        let named = request.uri.queryParameters["tenantId"].map(String.init)
        guard principal.scopes.contains(.operate) else {
            // Another tenant has nothing that is seen from here.
            return named.map { $0.hasSameBytes(as: principal.owner.tenantID) ? $0 : "" } ?? principal.owner.tenantID
        }
        return named
    }

    /// The user that the path names; what the caller may not see does not exist.
    private func named(_ request: Request, _ context: EdgeContext) throws(Problem) -> Owner {
        let principal = try context.requirePrincipal()
        let tenant = request.uri.queryParameters["tenantId"].map(String.init) ?? principal.owner.tenantID
        let id = context.parameters.get("userId").flatMap(\.percentDecoded) ?? ""
        guard Owner.isName(id), maySee(tenant, principal) else { throw Problem(.notFound, "There is no such user.") }
        return Owner(tenantID: tenant, userID: id)
    }

    private func maySee(_ tenantID: String, _ principal: Principal) -> Bool {
        principal.scopes.contains(.operate) || tenantID.hasSameBytes(as: principal.owner.tenantID)
    }

    /// The owner that a body names by `userField` and `tenantId`.
    private func owner(
        in fields: inout RequestFields, _ userField: String, _ context: EdgeContext
    ) throws(Problem) -> Owner {
        let principal = try context.requirePrincipal()
        let tenant = fields.string("tenantId") ?? principal.owner.tenantID
        if !Owner.isName(tenant) { fields.refuse("tenantId", Self.nameRule) }
        let user = fields.string(userField) ?? ""
        if !Owner.isName(user) { fields.refuse(userField, user.isEmpty ? "is required" : Self.nameRule) }
        guard maySee(tenant, principal) else {
            throw Problem(.forbidden, "Only the one who runs the server manages other tenants.")
        }
        return Owner(tenantID: tenant, userID: user)
    }

    private static let nameRule = "must be 1 to 128 letters, digits and . _ - @ +, and begin with a letter or a digit"

    // MARK: Users

    func users(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let tenant = try listedTenant(request, context)
        let limit = try request.pageLimit()
        let position = try request.query("cursor", "a cursor of this list") { text -> Owner? in
            let parts = text.split(separator: "/", maxSplits: 1)
            return parts.count == 2 ? Owner(tenantID: String(parts[0]), userID: String(parts[1])) : nil
        }
        let found = try await asking { () throws(StoreError) in
            try await accounts.users(of: tenant, after: position, limit: limit + 1)
        }
        let next = found.count > limit ? found[limit - 1].owner : nil
        return .json { writer in
            writer.page(found.prefix(limit), next: next.map { "\($0.tenantID)/\($0.userID)" }) { $1.write(to: &$0) }
        }
    }

    func addUser(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer
    ) async throws -> IdempotentRequests.Answer {
        var fields = try RequestFields(body)
        let owner = try owner(in: &fields, "id", context)
        let role = fields.choice("role", of: Role.self, Role.allCases.map(\.rawValue)) ?? .user
        if owner == .local { fields.refuse("id", "is the name of the one who runs the server") }
        try fields.finish()
        let user = User(owner: owner, role: role, createdAt: configuration.now())
        try await audit.write(
            "user.add", "\(owner.tenantID)/\(owner.userID)", context, [("role", role.rawValue)])
        try await asking { () throws(StoreError) in try await accounts.add(user) }
        administration.noteChange()
        let location = "\(RouteTable.root)/admin/users/\(owner.userID)"
        return .json(.created, location: location) { user.write(to: &$0) }
    }

    private func find(_ owner: Owner) async throws(Problem) -> User {
        let user = try await asking { () throws(StoreError) in try await accounts.user(owner) }
        guard let user else { throw Problem(.notFound, "There is no such user.") }
        return user
    }

    func user(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let user = try await find(try named(request, context))
        return .json { user.write(to: &$0) }
    }

    func updateUser(_ request: Request, _ context: EdgeContext) async throws -> Response {
        var request = request
        let owner = try named(request, context)
        var fields = try RequestFields(try await request.boundedBody(upTo: configuration.maxBodyBytes))
        let role = fields.choice("role", of: Role.self, Role.allCases.map(\.rawValue))
        let isDisabled = fields.bool("disabled")
        try fields.finish()
        var user = try await find(owner)
        if let role { user.role = role }
        if let isDisabled { user.isDisabled = isDisabled }
        let changed = user
        try await audit.write(
            "user.change", "\(owner.tenantID)/\(owner.userID)", context,
            [("role", user.role.rawValue), ("disabled", "\(user.isDisabled)")])
        try await asking { () throws(StoreError) in try await accounts.update(changed) }
        administration.noteChange()
        return .json { changed.write(to: &$0) }
    }

    /// The user is disabled first, so that nothing new comes while the old is removed; what could not be removed is said, and the
    /// user stays, so that it can be asked for again.
    func removeUser(_ request: Request, _ context: EdgeContext) async throws -> Response {
        var user = try await find(try named(request, context))
        user.isDisabled = true
        let disabled = user
        try await audit.write("user.delete", "\(user.owner.tenantID)/\(user.owner.userID)", context)
        try await asking { () throws(StoreError) in try await accounts.update(disabled) }
        administration.noteChange()
        let erasure = try await runtime.deleteSessions(of: disabled.owner)
        if erasure.failures.isEmpty {
            try await asking { () throws(StoreError) in try await accounts.removeUser(disabled.owner) }
            administration.noteChange()
        }
        return .json { writer in
            writer.object { writer in
                writer.member("userId", disabled.owner.userID)
                writer.member("tenantId", disabled.owner.tenantID)
                writer.member("removed", erasure.failures.isEmpty)
                writer.member("deletedSessions", erasure.deletedSessions)
                writer.key("failures")
                writer.array { writer in
                    for failure in erasure.failures {
                        writer.object { writer in
                            writer.member("sessionId", failure.path)
                            writer.member("reason", failure.message)
                        }
                    }
                }
            }
        }
    }

    // MARK: Keys

    func keys(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let tenant = try listedTenant(request, context)
        let limit = try request.pageLimit()
        let position = request.uri.queryParameters["cursor"].map(String.init)
        let found = try await asking { () throws(StoreError) in
            try await accounts.keys(of: tenant, after: position, limit: limit + 1)
        }
        return .json { writer in
            writer.page(found.prefix(limit), next: found.count > limit ? found[limit - 1].id : nil) { writer, key in
                writer.object { key.writeMembers(to: &$0) }
            }
        }
    }

    func addKey(
        _ request: Request, _ context: EdgeContext, _ body: ByteBuffer
    ) async throws -> IdempotentRequests.Answer {
        let principal = try context.requirePrincipal()
        var fields = try RequestFields(body)
        let owner = try owner(in: &fields, "userId", context)
        let name = fields.string("name", maxBytes: 200)
        let expiry = fields.time("expiresAt")
        if let expiry, expiry <= configuration.now() { fields.refuse("expiresAt", "must lie in the future") }
        let names = fields.strings("scopes")
        for name in names ?? [] where Scopes(name: name) == nil {
            fields.refuse("scopes", "must be some of \(Scopes.allNames.joined(separator: ", "))")
        }
        try fields.finish()
        // Nobody hands out what they do not have; the server's own name is its own.
        if owner == .local, !principal.scopes.contains(.operate) { throw Problem(.notFound, "There is no such user.") }
        let role = owner == .local ? Role.admin : try await find(owner).role
        let scopes = names.map { Scopes(names: $0) } ?? role.scopes
        guard role.scopes.isSuperset(of: scopes) else {
            throw Problem(
                .badRequest, "A \(role.rawValue) may not have all of these scopes.",
                errors: [.init(path: "scopes", message: "must be some of \(role.scopes.names.joined(separator: ", "))")]
            )
        }
        let new = administration.makeKey()
        let key = APIKey(
            id: new.id, owner: owner, name: name, scopes: scopes, digest: new.digest, createdAt: configuration.now(),
            expiresAt: expiry)
        try await audit.write(
            "key.create", key.id, context,
            [("owner", "\(owner.tenantID)/\(owner.userID)"), ("scopes", scopes.names.joined(separator: " "))])
        try await asking { () throws(StoreError) in try await accounts.add(key) }
        administration.noteChange()
        return .json(.created, location: "\(RouteTable.root)/admin/keys/\(key.id)") { writer in
            writer.object { writer in
                key.writeMembers(to: &writer)
                writer.member("key", new.text)
            }
        }
    }

    func revokeKey(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let missing = "There is no such key."
        let id = context.parameters.get("keyId") ?? ""
        let found = try await asking(missing) { () throws(StoreError) in try await accounts.key(id) }
        guard let found, maySee(found.key.owner.tenantID, principal) else { throw Problem(.notFound, missing) }
        try await audit.write("key.revoke", id, context)
        try await asking(missing) { () throws(StoreError) in
            try await accounts.revokeKey(id, at: configuration.now())
        }
        administration.noteChange()
        return Response(status: .noContent)
    }
}

extension User {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", owner.userID)
            writer.member("tenantId", owner.tenantID)
            writer.member("role", role.rawValue)
            writer.member("disabled", isDisabled)
            writer.member("createdAt", createdAt.description)
        }
    }
}

extension APIKey {
    fileprivate func writeMembers(to writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("userId", owner.userID)
        writer.member("tenantId", owner.tenantID)
        writer.member("name", orNull: name)
        writer.key("scopes")
        writer.array { writer in for name in scopes.names { writer.string(name) } }
        writer.member("createdAt", createdAt.description)
        writer.member("lastUsedAt", orNull: lastUsedAt?.description)
        writer.member("expiresAt", orNull: expiresAt?.description)
        writer.member("revokedAt", orNull: revokedAt?.description)
    }
}
