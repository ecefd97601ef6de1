internal import TauCore
internal import TauRuntime

// The API's forms of what the runtime answers.

extension AgentRuntime.SessionView {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", summary.id.rawValue)
            writer.member("name", orNull: summary.name)
            writer.member("userId", summary.owner.userID)
            writer.member("tenantId", summary.owner.tenantID)
            writer.member("createdAt", summary.createdAt.description)
            writer.member("updatedAt", summary.updatedAt.description)
            writer.member("leafId", orNull: summary.leafID?.rawValue)
            writer.member("entryCount", summary.entryCount)
            writer.key("model")
            if let model = summary.model { model.write(to: &writer) } else { writer.null() }
            writer.member("thinkingLevel", summary.thinkingLevel)
            writer.key("usage")
            summary.usage.write(to: &writer)
            writer.member("tier", summary.tier.rawValue)
            writer.member("activeRunId", orNull: activeRun?.rawValue)
            writer.key("metadata")
            writer.value(summary.metadata)
        }
    }
}

extension TreeNode {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", id.rawValue)
            writer.member("parentId", orNull: parentID?.rawValue)
            writer.member("type", type)
            writer.member("role", ifPresent: role)
            writer.member("preview", preview)
            writer.member("timestamp", orNull: timestamp?.description)
            writer.member("label", ifPresent: label)
        }
    }
}

extension ModelListing {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("provider", model.reference.provider)
            writer.member("id", model.reference.id)
            writer.member("name", model.name)
            writer.member("contextWindow", model.contextWindow)
            writer.member("maxOutput", model.maxOutputTokens)
            writer.key("prices")
            if let prices = model.prices {
                writer.object { writer in
                    prices.writeRates(to: &writer)
                    guard !prices.tiers.isEmpty else { return }
                    writer.key("tiers")
                    writer.array { writer in
                        for tier in prices.tiers {
                            writer.object { writer in
                                writer.member("inputTokensAbove", tier.inputTokensAbove)
                                tier.prices.writeRates(to: &writer)
                            }
                        }
                    }
                }
            } else {
                writer.null()
            }
            writer.member("reasoning", model.supportsReasoning)
            writer.key("inputs")
            writer.array { writer in for input in model.inputs { writer.string(input.rawValue) } }
            writer.member("available", isAvailable)
        }
    }
}

extension Prices {
    fileprivate func writeRates(to writer: inout JSONWriter) {
        for (name, price) in [
            ("input", input), ("output", output), ("cacheRead", cacheRead), ("cacheWrite", cacheWrite),
        ] {
            writer.key(name)
            writer.double(price)
        }
    }
}

extension ToolListing {
    func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("name", definition.name)
            writer.member("description", definition.description)
            writer.member("parameters", definition.parameters)
            writer.member("policy", policy.rawValue)
            writer.member("available", unavailable == nil)
            writer.member("unavailable", ifPresent: unavailable)
            writer.member("note", ifPresent: note)
        }
    }
}

extension JSONWriter {
    /// A page of a list.
    mutating func page<Element>(
        _ elements: some Sequence<Element>, next: String?, _ write: (inout JSONWriter, Element) -> Void
    ) {
        object { writer in
            writer.key("data")
            writer.array { writer in for element in elements { write(&writer, element) } }
            writer.member("nextCursor", orNull: next)
        }
    }
}
