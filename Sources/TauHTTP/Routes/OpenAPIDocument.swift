internal import HTTPTypes
internal import TauCore

/// The API as an OpenAPI 3.1 document, made of the table of routes.
struct OpenAPIDocument {
    let bytes: [UInt8]

    init(_ routes: [Route]) {
        var paths = JSONObject()
        for route in routes {
            var path = paths[route.path]?.object ?? JSONObject(members: Self.parameters(of: route))
            path[route.method.rawValue.lowercased()] = Self.operation(route)
            paths.update(route.path, to: .object(path))
        }
        let document: JSONValue = [
            "openapi": "3.1.0",
            "info": [
                "title": "Tau", "version": "1",
                "description": "Agents in production: sessions that branch, runs, tools, users and limits.",
                "license": ["name": "MIT", "identifier": "MIT"],
            ],
            "servers": [["url": "/"]],
            "security": [["bearer": []]],
            "paths": .object(paths),
            "components": [
                "securitySchemes": ["bearer": ["type": "http", "scheme": "bearer"]],
                "schemas": OpenAPISchemas.all,
                "responses": [
                    "Problem": [
                        "description": "What is wrong (RFC 9457)",
                        "content": ["application/problem+json": ["schema": Self.reference("Problem")]],
                    ]
                ],
            ],
        ]
        bytes = Array(document.text.utf8)
    }

    private static func reference(_ schema: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(schema)")] }

    /// The path's own parameters, as the one member of a new path.
    private static func parameters(of route: Route) -> [JSONObject.Member] {
        let names = route.path.split(separator: "/").filter { $0.hasPrefix("{") }.map {
            String($0.dropFirst().dropLast())
        }
        guard !names.isEmpty else { return [] }
        let parameters = names.map { name -> JSONValue in
            ["name": .string(name), "in": "path", "required": true, "schema": ["type": "string"]]
        }
        return [.init(key: "parameters", value: .array(parameters))]
    }

    private static func operation(_ route: Route) -> JSONValue {
        let description = route.description
        var operation = JSONObject()
        operation["summary"] = .string(description.summary)
        operation["operationId"] = .string(name(of: route))
        var parameters = description.query.map { parameter -> JSONValue in
            ["name": .string(parameter.name), "in": "query", "required": false, "schema": parameter.schema]
        }
        if case .once = route.handler {
            parameters.append([
                "name": "Idempotency-Key", "in": "header", "required": false,
                "schema": ["type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"],
            ])
        }
        if !parameters.isEmpty { operation["parameters"] = .array(parameters) }
        switch route.access {
        case .everybody: operation["security"] = []
        case .scope(let scope): operation["x-scope"] = .string(scope.names.joined(separator: " "))
        }
        if let body = description.body {
            operation["requestBody"] = [
                "required": true,
                "content": .object(
                    JSONObject(members: [.init(key: description.bodyType, value: ["schema": reference(body)])])),
            ]
        }
        operation["responses"] = .object(
            JSONObject(
                members: [
                    .init(key: String(description.status), value: answer(description)),
                    .init(key: "default", value: ["$ref": "#/components/responses/Problem"]),
                ] + events(description)))
        return .object(operation)
    }

    /// Such as `postSessionsIdRuns`.
    private static func name(of route: Route) -> String {
        let path = route.path.hasPrefix(RouteTable.root) ? route.path.dropFirst(RouteTable.root.count) : route.path[...]
        let words = path.split { !$0.isLetter && !$0.isNumber }
        return route.method.rawValue.lowercased() + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private static let eventStream = "text/event-stream"
    /// Readers take a stream for one text or for many events; both are meant.
    private static let events: JSONValue = ["description": "Server-sent events, each with id, event and data"]

    private static func answer(_ description: RouteDescription) -> JSONValue {
        func content(_ type: String, _ schema: JSONValue) -> JSONValue {
            .object(JSONObject(members: [.init(key: type, value: ["schema": schema])]))
        }
        let summary = JSONValue.string(description.summary)
        switch description.answer {
        case .nothing: return ["description": summary]
        case .object(let name), .objectOrEvents(let name):
            return ["description": summary, "content": content("application/json", reference(name))]
        case .text(let type):
            let schema = type == eventStream ? events : ["type": "string"]
            return ["description": summary, "content": content(type, schema)]
        case .page(let name):
            let page: JSONValue = [
                "type": "object", "required": ["data", "nextCursor"],
                "properties": [
                    "data": ["type": "array", "items": reference(name)], "nextCursor": ["type": ["string", "null"]],
                ],
            ]
            return ["description": summary, "content": content("application/json", page)]
        }
    }

    /// An answer of events has status 200, whatever the other one has.
    private static func events(_ description: RouteDescription) -> [JSONObject.Member] {
        guard case .objectOrEvents = description.answer else { return [] }
        let answer: JSONValue = [
            "description": "The run's events, for a caller that accepts text/event-stream",
            "content": .object(JSONObject(members: [.init(key: eventStream, value: ["schema": events])])),
        ]
        return [.init(key: "200", value: answer)]
    }
}
