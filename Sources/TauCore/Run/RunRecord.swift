/// What is remembered of a run beyond the process that it runs in.
public struct RunRecord: Sendable {
    public var run: Run
    /// What a run that waits for approvals needs to go on; nil for any other.
    public var suspension: Suspension?

    public init(run: Run, suspension: Suspension? = nil) {
        self.run = run
        self.suspension = suspension
    }

    /// Where a waiting run stands. None of the calls of its last answer has been run.
    public struct Suspension: Sendable, Equatable {
        /// Decisions that have been given, by the tool call's id.
        public var decisions: [String: ApprovalDecision] = [:]
        /// When what is not decided counts as denied.
        public var expiresAt: Timestamp
        /// The number of the last event that the run has told.
        public var lastEvent: Int
        public var turns: Int
        public var maxTurns: Int
        /// US dollars.
        public var maxCost: Double?
        public var thinkingLevel: ThinkingLevel
        public var fallbacks: [ModelReference]

        public init(
            expiresAt: Timestamp, lastEvent: Int, turns: Int, maxTurns: Int, maxCost: Double?,
            thinkingLevel: ThinkingLevel, fallbacks: [ModelReference]
        ) {
            self.expiresAt = expiresAt
            self.lastEvent = lastEvent
            self.turns = turns
            self.maxTurns = maxTurns
            self.maxCost = maxCost
            self.thinkingLevel = thinkingLevel
            self.fallbacks = fallbacks
        }
    }
}

/// What a person says to one tool call.
public struct ApprovalDecision: Sendable, Equatable {
    public var isApproved: Bool
    /// For the model, where it is denied.
    public var reason: String?

    public init(isApproved: Bool, reason: String? = nil) {
        self.isApproved = isApproved
        self.reason = reason
    }
}

extension RunRecord {
    /// One JSON object with the run, and where it is suspended a member `suspension`.
    public var serialized: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.key("run")
            run.write(to: &writer)
            if let suspension {
                writer.key("suspension")
                suspension.write(to: &writer)
            }
        }
        return writer.bytes
    }

    /// Reads what `serialized` has given; nil for anything else.
    public init?(json: JSONValue?) {
        guard let run = Run(json: json?["run"]) else { return nil }
        self.init(run: run, suspension: Suspension(json: json?["suspension"]))
    }
}

extension RunRecord.Suspension {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.key("decisions")
            writer.object { writer in
                for (call, decision) in decisions.sorted(by: { $0.key < $1.key }) {
                    writer.key(call)
                    writer.object { writer in
                        writer.member("isApproved", decision.isApproved)
                        writer.member("reason", ifPresent: decision.reason)
                    }
                }
            }
            writer.member("expiresAt", expiresAt.description)
            writer.member("lastEvent", lastEvent)
            writer.member("turns", turns)
            writer.member("maxTurns", maxTurns)
            if let maxCost {
                writer.key("maxCost")
                writer.double(maxCost)
            }
            writer.member("thinkingLevel", thinkingLevel.rawValue)
            writer.key("fallbacks")
            writer.array { writer in for model in fallbacks { writer.string(model.description) } }
        }
    }

    fileprivate init?(json: JSONValue?) {
        guard let json, let expiresAt = json["expiresAt"]?.string.flatMap({ Timestamp($0) }),
            let lastEvent = json["lastEvent"]?.integer, let turns = json["turns"]?.integer,
            let maxTurns = json["maxTurns"]?.integer
        else { return nil }
        self.init(
            expiresAt: expiresAt, lastEvent: lastEvent, turns: turns, maxTurns: maxTurns,
            maxCost: json["maxCost"]?.double,
            thinkingLevel: json["thinkingLevel"]?.string.flatMap(ThinkingLevel.init) ?? .off,
            fallbacks: (json["fallbacks"]?.array ?? []).compactMap { $0.string.flatMap { ModelReference($0) } })
        for member in json["decisions"]?.object?.members ?? [] {
            decisions[member.key] = ApprovalDecision(
                isApproved: member.value["isApproved"]?.bool ?? false, reason: member.value["reason"]?.string)
        }
    }
}
