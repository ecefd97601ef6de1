internal import TauCore

/// The components of the OpenAPI document. What a request may hold is closed; answers may grow.
enum OpenAPISchemas {
    static let all: JSONValue = .object(
        JSONObject(
            members: (requests + answers).map { JSONObject.Member(key: $0.0, value: $0.1) }))

    // MARK: Parts

    private static let string: JSONValue = ["type": "string"]
    private static let stringOrNull: JSONValue = ["type": ["string", "null"]]
    private static let integer: JSONValue = ["type": "integer"]
    private static let number: JSONValue = ["type": "number"]
    private static let boolean: JSONValue = ["type": "boolean"]
    private static let object: JSONValue = ["type": "object"]
    private static let time: JSONValue = ["type": "string", "format": "date-time"]
    private static let timeOrNull: JSONValue = ["type": ["string", "null"], "format": "date-time"]

    private static func text(atMost count: Int) -> JSONValue {
        ["type": ["string", "null"], "maxLength": .number(String(count))]
    }

    private static func list(of element: JSONValue) -> JSONValue { ["type": "array", "items": element] }
    private static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }
    private static func orNull(_ name: String) -> JSONValue { ["anyOf": [reference(name), ["type": "null"]]] }

    private static func choice(_ values: [String]) -> JSONValue {
        ["type": "string", "enum": .array(values.map { .string($0) })]
    }

    /// An object of an answer; all of its members are always there but for the optional ones.
    private static func answer(
        _ members: [(String, JSONValue)], optional: [(String, JSONValue)] = []
    ) -> JSONValue {
        [
            "type": "object", "required": .array(members.map { .string($0.0) }),
            "properties": .object(JSONObject(members: (members + optional).map { .init(key: $0.0, value: $0.1) })),
        ]
    }

    /// The object of a request, which may hold nothing else.
    private static func request(_ members: [(String, JSONValue)], required: [String] = []) -> JSONValue {
        [
            "type": "object", "required": .array(required.map { .string($0) }), "additionalProperties": false,
            "properties": .object(JSONObject(members: members.map { .init(key: $0.0, value: $0.1) })),
        ]
    }

    private static let thinkingLevel: JSONValue = [
        "enum": .array(ThinkingLevel.allCases.map { .string($0.rawValue) } + [.null])
    ]
    private static let model: JSONValue = ["type": ["string", "null"], "maxLength": 1000, "pattern": "^[^/]+/.+$"]
    private static let message: JSONValue = [
        "anyOf": [
            ["type": "string", "minLength": 1],
            ["type": "array", "minItems": 1, "items": reference("ContentBlock")],
        ]
    ]
    private static let name: JSONValue = ["type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$"]
    private static let role = choice(Role.allCases.map(\.rawValue))
    private static let scopes = list(of: choice(Scopes.allNames))

    // MARK: Requests

    private static let requests: [(String, JSONValue)] = [
        (
            "NewSession",
            request([
                ("name", text(atMost: 1000)), ("model", model), ("thinkingLevel", thinkingLevel),
                ("systemPrompt", stringOrNull), ("tools", ["type": ["array", "null"], "items": string]),
                ("metadata", ["type": ["object", "null"]]), ("cwd", text(atMost: 4096)),
            ])
        ),
        (
            "SessionUpdate",
            request([
                ("name", text(atMost: 1000)), ("metadata", ["type": ["object", "null"]]), ("model", model),
                ("thinkingLevel", thinkingLevel),
            ])
        ),
        ("SessionFile", string),
        ("Label", request([("label", text(atMost: 1000))], required: ["label"])),
        (
            "Branch",
            request(
                [
                    ("entryId", text(atMost: 1000)), ("summarize", ["type": ["boolean", "null"]]),
                    ("instructions", stringOrNull),
                ], required: ["entryId"])
        ),
        ("Fork", request([("entryId", text(atMost: 1000)), ("name", text(atMost: 1000))])),
        ("Compaction", request([("instructions", stringOrNull)])),
        (
            "NewRun",
            request(
                [
                    ("message", message), ("parentId", text(atMost: 1000)), ("model", text(atMost: 1000)),
                    ("thinkingLevel", thinkingLevel),
                    ("maxTurns", ["type": ["integer", "null"], "minimum": 1, "maximum": 10000]),
                    ("maxCost", ["type": ["number", "null"], "minimum": 0, "maximum": 1_000_000_000]),
                    ("ifBusy", ["enum": ["reject", "steer", "followUp", .null]]),
                ], required: ["message"])
        ),
        ("Message", request([("message", message)], required: ["message"])),
        (
            "Decision",
            request(
                [("decision", choice(["approve", "deny"])), ("reason", text(atMost: 1000))], required: ["decision"])
        ),
        (
            "ContentBlock",
            [
                "type": "object", "required": ["type"],
                "properties": [
                    "type": choice(["text", "image"]), "text": string, "data": string, "mimeType": string,
                ],
            ]
        ),
        ("NewUser", request([("id", name), ("tenantId", name), ("role", role)], required: ["id"])),
        ("UserUpdate", request([("role", role), ("disabled", boolean)])),
        (
            "NewKey",
            request(
                [
                    ("userId", name), ("tenantId", name), ("name", text(atMost: 200)), ("scopes", scopes),
                    ("expiresAt", time),
                ], required: ["userId"])
        ),
    ]

    // MARK: Answers

    private static let usage = answer([
        ("input", integer), ("output", integer), ("cacheRead", integer), ("cacheWrite", integer),
        ("totalTokens", integer),
        (
            "cost",
            [
                "type": ["object", "null"],
                "properties": [
                    "input": number, "output": number, "cacheRead": number, "cacheWrite": number, "total": number,
                ],
            ]
        ),
    ])

    private static func budget(_ number: JSONValue) -> [(String, JSONValue)] {
        let orNull: JSONValue = ["anyOf": [number, ["type": "null"]]]
        return [("limit", orNull), ("used", number), ("held", number), ("remaining", orNull)]
    }

    private static let sum = answer([
        ("input", integer), ("output", integer), ("cacheRead", integer), ("cacheWrite", integer),
        ("totalTokens", integer), ("cost", answer([("total", number)])),
    ])

    private static let usageReport = answer([
        ("from", time), ("to", time),
        (
            "data",
            list(
                of: answer(
                    [("calls", integer), ("usage", sum)],
                    optional: [("day", string), ("model", string), ("session", string)]))
        ),
        ("total", sum),
        ("budget", ["anyOf": [answer(budget(integer) + [("resetsAt", time)]), ["type": "null"]]]),
        (
            "budgets",
            list(
                of: answer([
                    ("scope", choice(["user", "tenant", "key"])), ("window", choice(["day", "month"])),
                    ("mode", choice(["hard", "warn"])), ("resetsAt", time), ("tokens", answer(budget(integer))),
                    ("dollars", answer(budget(number))),
                ]))
        ),
    ])

    private static let keyMembers: [(String, JSONValue)] = [
        ("id", string), ("userId", string), ("tenantId", string), ("name", stringOrNull), ("scopes", list(of: string)),
        ("createdAt", time), ("lastUsedAt", timeOrNull), ("expiresAt", timeOrNull), ("revokedAt", timeOrNull),
    ]

    private static let answers: [(String, JSONValue)] = [
        (
            "Problem",
            answer(
                [("type", string), ("title", string), ("status", integer), ("detail", string), ("code", string)],
                optional: [("errors", list(of: answer([("path", string), ("message", string)])))])
        ),
        ("Usage", usage),
        ("ModelReference", answer([("provider", string), ("id", string)])),
        (
            "Session",
            answer([
                ("id", string), ("name", stringOrNull), ("userId", string), ("tenantId", string), ("createdAt", time),
                ("updatedAt", time), ("leafId", stringOrNull), ("entryCount", integer),
                ("model", orNull("ModelReference")), ("thinkingLevel", string), ("usage", reference("Usage")),
                ("tier", choice(["hot", "archived"])), ("activeRunId", stringOrNull), ("metadata", object),
            ])
        ),
        (
            "Run",
            answer([
                ("id", string), ("sessionId", string),
                (
                    "status",
                    choice(["queued", "running", "waiting", "completed", "failed", "cancelled", "interrupted"])
                ),
                ("createdAt", time), ("startedAt", timeOrNull), ("finishedAt", timeOrNull),
                ("model", reference("ModelReference")), ("usage", reference("Usage")),
                (
                    "error",
                    ["type": ["object", "null"], "properties": ["code": string, "message": string]]
                ),
                ("leafId", stringOrNull),
                (
                    "pendingApprovals",
                    list(of: answer([("toolCallId", string), ("toolName", string), ("arguments", object)]))
                ),
                ("node", string),
            ])
        ),
        ("Entry", ["type": "object", "required": ["type"], "properties": ["type": string]]),
        (
            "Tree",
            answer([
                ("leafId", stringOrNull),
                (
                    "nodes",
                    list(
                        of: answer(
                            [
                                ("id", string), ("parentId", stringOrNull), ("type", string), ("preview", string),
                                ("timestamp", stringOrNull),
                            ], optional: [("role", string), ("label", string)]))
                ),
            ])
        ),
        (
            "Context",
            answer([
                ("messages", list(of: object)), ("model", orNull("ModelReference")), ("thinkingLevel", string),
                ("tokens", integer),
            ])
        ),
        (
            "Model",
            answer([
                ("provider", string), ("id", string), ("name", string), ("contextWindow", integer),
                ("maxOutput", integer), ("prices", ["type": ["object", "null"]]), ("reasoning", boolean),
                ("inputs", list(of: string)), ("available", boolean),
            ])
        ),
        (
            "Tool",
            answer(
                [
                    ("name", string), ("description", string), ("parameters", object),
                    ("policy", choice(["allow", "ask", "deny"])), ("available", boolean),
                ], optional: [("unavailable", string), ("note", string)])
        ),
        (
            "User",
            answer([
                ("id", string), ("tenantId", string), ("role", role), ("disabled", boolean), ("createdAt", time),
            ])
        ),
        ("Key", answer(keyMembers)),
        ("NewKeyText", answer(keyMembers + [("key", string)])),
        (
            "Erasure",
            answer([
                ("userId", string), ("tenantId", string), ("removed", boolean), ("deletedSessions", integer),
                ("failures", list(of: answer([("sessionId", string), ("reason", string)]))),
            ])
        ),
        ("UsageReport", usageReport),
        ("Health", object),
        ("Document", object),
    ]
}
