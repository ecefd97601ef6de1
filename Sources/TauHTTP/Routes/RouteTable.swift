internal import HTTPTypes
internal import Hummingbird
internal import TauCore
internal import TauRuntime

/// The table of all routes: the API at a glance.
struct RouteTable {
    static let root = "/api/agent/v1"

    let routes: [Route]

    init(
        runtime: AgentRuntime, health: HealthChecks, administration: Administration?, streams: StreamPlaces,
        configuration: EdgeConfiguration
    ) {
        var table = Table()
        table.addSessions(SessionRoutes(runtime: runtime, configuration: configuration))
        table.addRuns(RunRoutes(runtime: runtime, configuration: configuration))
        table.addCatalog(CatalogRoutes(runtime: runtime), UsageRoutes(runtime: runtime, now: configuration.now))
        if let administration {
            table.addAdministration(
                AdministrationRoutes(runtime: runtime, administration: administration, configuration: configuration))
        }
        table.addOperations(health, configuration.metrics, streams)
        routes = table.routes
    }
}

/// Routes as they are added; the paths are those below the API's root.
private struct Table {
    var routes: [Route] = []

    mutating func add(
        _ method: HTTPRequest.Method, _ path: String, _ scope: Scopes, of subject: Route.Subject = .none,
        _ description: RouteDescription, _ handler: Route.Handler
    ) {
        routes.append(
            Route(
                method: method, path: RouteTable.root + path, access: .scope(scope), subject: subject,
                description: description, handler: handler))
    }

    mutating func addSessions(_ sessions: SessionRoutes) {
        add(
            .post, "/sessions", .writeSessions,
            .init("Makes a session", body: "NewSession", status: 201, answer: .object("Session")),
            .once(sessions.create))
        add(
            .get, "/sessions", .readSessions,
            .init(
                "The caller's sessions, newest first",
                query: [.text("q"), .choice("order", "updatedAt", "createdAt")] + RouteDescription.Parameter.page,
                answer: .page(of: "Session")), .plain(sessions.list))
        add(
            .post, "/sessions/import", .writeSessions,
            .init(
                "Makes a session of a Pi session file", body: "SessionFile", bodyType: "application/x-ndjson",
                status: 201, answer: .object("Session")),
            .once(maxBytes: sessions.configuration.maxImportBytes, sessions.importFile))
        add(
            .get, "/sessions/{id}", .readSessions, of: .session, .init("A session", answer: .object("Session")),
            .plain(sessions.get))
        add(
            .patch, "/sessions/{id}", .writeSessions, of: .session,
            .init("Changes a session", body: "SessionUpdate", answer: .object("Session")), .plain(sessions.update))
        add(
            .delete, "/sessions/{id}", .writeSessions, of: .session,
            .init("Removes a session and all that belongs to it", status: 204, answer: .nothing),
            .plain(sessions.delete))
        add(
            .get, "/sessions/{id}/entries", .readSessions, of: .session,
            .init(
                "Entries in file order", query: [.text("after")] + RouteDescription.Parameter.page,
                answer: .page(of: "Entry")), .plain(sessions.entries))
        add(
            .get, "/sessions/{id}/tree", .readSessions, of: .session, .init("The tree", answer: .object("Tree")),
            .plain(sessions.tree))
        add(
            .get, "/sessions/{id}/context", .readSessions, of: .session,
            .init("What the model would be sent", query: [.text("leaf")], answer: .object("Context")),
            .plain(sessions.context))
        add(
            .put, "/sessions/{id}/labels/{entryId}", .writeSessions, of: .session,
            .init("Labels an entry", body: "Label", answer: .object("Entry")), .plain(sessions.label))
        add(
            .get, "/sessions/{id}/export", .readSessions, of: .session,
            .init("The session file, byte for byte", answer: .text(type: "application/x-ndjson")),
            .plain(sessions.export))
        add(
            .post, "/sessions/{id}/branch", .writeSessions, of: .session,
            .init("Moves the leaf", body: "Branch", answer: .object("Session")), .once(sessions.branch))
        add(
            .post, "/sessions/{id}/fork", .writeSessions, of: .session,
            .init("Makes a session of a branch", body: "Fork", status: 201, answer: .object("Session")),
            .once(sessions.fork))
        add(
            .post, "/sessions/{id}/compact", .writeRuns, of: .session,
            .init("Summarises the older part", body: "Compaction", answer: .object("Entry")), .once(sessions.compact))
        add(
            .post, "/sessions/{id}/archive", .writeSessions, of: .session,
            .init("Moves a session to the archive", answer: .object("Session")), .once(sessions.archive))
        add(
            .post, "/sessions/{id}/restore", .writeSessions, of: .session,
            .init("Brings a session back", answer: .object("Session")), .once(sessions.restore))
    }

    mutating func addRuns(_ runs: RunRoutes) {
        add(
            .post, "/sessions/{id}/runs", .writeRuns, of: .session,
            .init("Sends a message", body: "NewRun", status: 202, answer: .objectOrEvents("Run")), .once(runs.start))
        add(
            .get, "/sessions/{id}/runs", .readRuns, of: .session,
            .init("The session's runs, newest first", query: RouteDescription.Parameter.page, answer: .page(of: "Run")),
            .plain(runs.list))
        add(.get, "/runs/{runId}", .readRuns, of: .run, .init("A run", answer: .object("Run")), .plain(runs.get))
        add(
            .get, "/runs/{runId}/events", .readRuns, of: .run,
            .init("The run's events from the start, or after Last-Event-ID", answer: .text(type: "text/event-stream")),
            .plain(runs.events))
        add(
            .post, "/runs/{runId}/cancel", .writeRuns, of: .run,
            .init("Stops a run", status: 202, answer: .object("Run")), .once(runs.cancel))
        add(
            .post, "/runs/{runId}/steer", .writeRuns, of: .run,
            .init("A message after the current tool calls", body: "Message", status: 202, answer: .object("Run")),
            .once(runs.steer))
        add(
            .post, "/runs/{runId}/follow-up", .writeRuns, of: .run,
            .init("A message when the agent would stop", body: "Message", status: 202, answer: .object("Run")),
            .once(runs.followUp))
        add(
            .post, "/runs/{runId}/approvals/{toolCallId}", .decideApprovals, of: .run,
            .init("Decides on a tool call that waits", body: "Decision", status: 202, answer: .object("Run")),
            .once(runs.approve))
    }

    mutating func addCatalog(_ catalog: CatalogRoutes, _ usage: UsageRoutes) {
        add(
            .get, "/usage", .readUsage,
            .init(
                "What the caller has used of models, and what is left",
                query: [.text("from"), .text("to"), .choice("groupBy", "day", "model", "session")],
                answer: .object("UsageReport")), .plain(usage.usage))
        add(
            .get, "/models", .readRuns,
            .init("The models", query: RouteDescription.Parameter.page, answer: .page(of: "Model")),
            .plain(catalog.models))
        add(
            .get, "/tools", .readRuns,
            .init("The tools", query: RouteDescription.Parameter.page, answer: .page(of: "Tool")), .plain(catalog.tools)
        )
    }

    mutating func addAdministration(_ administration: AdministrationRoutes) {
        let tenant = RouteDescription.Parameter.text("tenantId")
        add(
            .get, "/admin/users", .administer,
            .init(
                "The users of a tenant", query: [tenant] + RouteDescription.Parameter.page, answer: .page(of: "User")),
            .plain(administration.users))
        add(
            .post, "/admin/users", .administer,
            .init("Adds a user", body: "NewUser", status: 201, answer: .object("User")), .once(administration.addUser))
        add(
            .get, "/admin/users/{userId}", .administer,
            .init("A user", query: [tenant], answer: .object("User")), .plain(administration.user))
        add(
            .patch, "/admin/users/{userId}", .administer,
            .init("Changes a user", query: [tenant], body: "UserUpdate", answer: .object("User")),
            .plain(administration.updateUser))
        add(
            .delete, "/admin/users/{userId}", .administer,
            .init(
                "Removes a user and all that is theirs; says what was removed", query: [tenant],
                answer: .object("Erasure")), .plain(administration.removeUser))
        add(
            .get, "/admin/keys", .administer,
            .init("The keys of a tenant", query: [tenant] + RouteDescription.Parameter.page, answer: .page(of: "Key")),
            .plain(administration.keys))
        add(
            .post, "/admin/keys", .administer,
            .init("Makes a key, which is shown this once", body: "NewKey", status: 201, answer: .object("NewKeyText")),
            .once(isSecret: true, administration.addKey))
        add(
            .delete, "/admin/keys/{keyId}", .administer,
            .init("Revokes a key, for ever", status: 204, answer: .nothing), .plain(administration.revokeKey))
    }

    mutating func addOperations(_ health: HealthChecks, _ metrics: MetricsPage?, _ streams: StreamPlaces) {
        func add(
            _ path: String, _ description: RouteDescription, access: Route.Access = .everybody,
            _ handler: @escaping @Sendable (Request, EdgeContext) async throws -> Response
        ) {
            routes.append(
                Route(
                    method: .get, path: path, access: access, subject: .none, description: description,
                    handler: .plain(handler)))
        }
        add(
            "/health",
            .init("Whether the parts answer", query: [.text("verbose")], answer: .object("Health")),
            health.overview)
        add("/health/live", .init("Whether the process answers", answer: .object("Health")), health.live)
        add(
            "/health/ready", .init("Whether work may be sent here", query: [.text("deep")], answer: .object("Health")),
            health.ready)
        if let metrics {
            add(
                "/metrics",
                .init(
                    "What the server measures, for Prometheus",
                    answer: .text(type: "text/plain; version=0.0.4; charset=utf-8")),
                access: metrics.isPublic ? .everybody : .scope(.readMetrics)
            ) { request, _ in await metrics.get(request, streams) }
        }
        // Made of the table as it is now, itself included.
        let description = RouteDescription("This document", answer: .object("Document"))
        let document = OpenAPIDocument(
            routes + [
                Route(
                    method: .get, path: "/openapi.json", access: .everybody, subject: .none, description: description,
                    handler: .plain { _, _ in Response(status: .ok) })
            ]
        ).bytes
        add("/openapi.json", description) { _, _ in .bytes(document, type: "application/json") }
    }
}
