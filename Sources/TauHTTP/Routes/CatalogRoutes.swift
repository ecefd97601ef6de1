internal import Hummingbird
internal import TauCore
internal import TauRuntime

/// `/models` and `/tools`: what there is to choose from.
struct CatalogRoutes: Sendable {
    let runtime: AgentRuntime

    func models(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try .page(of: runtime.models.listings, request) { writer, listing in listing.write(to: &writer) }
    }

    func tools(_ request: Request, _ context: EdgeContext) async throws -> Response {
        try .page(of: runtime.tools.listings, request) { writer, listing in listing.write(to: &writer) }
    }
}
