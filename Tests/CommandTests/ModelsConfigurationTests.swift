import Foundation
import TauCore
import TauProviders
import TauRuntime
import Testing

@testable import tau

/// The part `models` of tau.yaml.
@Suite struct ModelsConfigurationTests {
    func load(_ yaml: String) async throws -> ServerConfiguration {
        let path = NSTemporaryDirectory() + "tau-yaml-\(UUID().uuidString).yaml"
        try Data(yaml.utf8).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        var overrides = ServerConfiguration.Overrides()
        overrides.configurationFile = path
        return try await ServerConfiguration.load(overrides)
    }

    @Test func `everything that can be said of models is read`() async throws {
        let configuration = try await load(
            """
            runs: {maxCost: 1.5, deltaMilliseconds: 50}
            models:
              simple: local/gemma-3.1
              languages: [en, de]
              maxConcurrentCalls: 7
              retry: {attempts: 5, baseMilliseconds: 100}
              circuit: {failures: 2, openSeconds: 9}
              fallback:
                simple: [local/other, scripted/scripted]
                default: [scripted/scripted]
              rules:
                simple: {shorterThan: 20}
                complex:
                  longerThan: 5000
                  attachments: 2
                  tools: [bash]
                  branchTokensAbove: 60000
                  words: {de: [umbauen], en: [rework]}
              providers:
                local:
                  api: openai
                  baseUrl: http://127.0.0.1:9/v1
                  key: not-secret
                  maxConcurrentCalls: 2
                  headers: {X-Team: a}
                  compatibility: {thinking: chatTemplate, hasStreamedUsage: false}
                  models:
                    gemma-3.1: {name: Gemma, contextWindow: 8192, maxOutput: 1000, inputs: [text, image], reasoning: true}
                    other:
                      prices: {input: 1, output: 2, cacheRead: 0.1, tiers: {200000: {input: 2, output: 4}}}
            """)
        #expect(configuration.runtime.maxCost == 1.5)
        #expect(configuration.runtime.deltaMilliseconds == 50)
        #expect(configuration.runtime.maxModelCalls == 7)
        #expect(configuration.runtime.retry.attempts == 5)
        #expect(configuration.runtime.retry.baseMilliseconds == 100)
        #expect(configuration.runtime.circuit.failures == 2)
        #expect(configuration.runtime.circuit.openSeconds == 9)
        let providers = configuration.providers
        #expect(providers.tierModels[.simple] == "local/gemma-3.1")
        #expect(providers.tierFallbacks[.simple] == ["local/other", "scripted/scripted"])
        #expect(providers.defaultFallbacks == ["scripted/scripted"])
        #expect(providers.rules.languages == ["en", "de"])
        #expect(providers.rules.simple.shorterThan == 20)
        #expect(providers.rules.complex.words["de"] == ["umbauen"])
        #expect(providers.rules.complex.words["en"] == ["rework"])
        #expect(providers.rules.complex.words["zh"]?.contains("重构") == true)
        #expect(providers.rules.complex.longerThan == 5000)
        #expect(providers.rules.complex.attachments == 2)
        #expect(providers.rules.complex.tools == ["bash"])
        #expect(providers.rules.complex.branchTokensAbove == 60_000)
        let local = try #require(providers.providers["local"])
        #expect(local.api == .openai)
        #expect(local.baseURL == "http://127.0.0.1:9/v1")
        #expect(local.key == "not-secret")
        #expect(local.maxConcurrentCalls == 2)
        #expect(local.headers == ["X-Team": "a"])
        #expect(local.compatibility == ["thinking": "chatTemplate", "hasStreamedUsage": false])
        let gemma = try #require(local.models["gemma-3.1"])
        #expect(gemma.name == "Gemma")
        #expect(gemma.contextWindow == 8192)
        #expect(gemma.maxOutputTokens == 1000)
        #expect(gemma.inputs == [.text, .image])
        #expect(gemma.supportsReasoning == true)
        let prices = try #require(local.models["other"]?.prices)
        #expect(prices.cacheRead == 0.1)
        #expect(prices.tiers.map(\.inputTokensAbove) == [200_000])
        #expect(prices.tiers.first?.prices.output == 4)
    }

    @Test(arguments: [
        ("models: {providers: {x: {url: y}}}", "models.providers.x.url is unknown; there are api, baseUrl, key,"),
        ("models: {providers: {x: {api: soap}}}", "models.providers.x.api must be one of anthropic, openai"),
        ("models: {providers: 3}", "models.providers must be a mapping"),
        (
            "models: {providers: {x: {models: {m: {contextWindow: lots}}}}}",
            "models.providers.x.models.m.contextWindow must be"
        ),
        (
            "models: {providers: {x: {models: {m: {prices: {input: 1}}}}}}",
            "models.providers.x.models.m.prices needs input and output"
        ),
        (
            "models: {providers: {x: {models: {m: {prices: {input: -1, output: 1}}}}}}",
            "prices.input must be a number from"
        ),
        ("models: {fallback: {easy: [a/b]}}", "models.fallback.easy is unknown"),
        ("models: {fallback: {simple: a/b}}", "models.fallback.simple must be a list of texts"),
        ("models: {rules: {complex: {words: {en: x}}}}", "models.rules.complex.words.en must be a list of texts"),
        ("models: {rules: {middling: {}}}", "models.rules.middling is unknown"),
        ("models: {retry: {attempts: many}}", "models.retry.attempts must be a whole number"),
    ])
    func `what is wrong is told with its place`(_ yaml: String, _ message: String) async throws {
        await #expect {
            _ = try await load(yaml)
        } throws: { error in
            "\(error)".contains(message)
        }
    }

    @Test(arguments: [
        "models: {providers: {x: {key: sk-secret", "a: [{b: sk-secret}]", "- sk-secret", "key: sk-secret\n\tb: c",
    ])
    func `a file that cannot be read is told without what stands in it`(_ yaml: String) async throws {
        await #expect {
            _ = try await load(yaml)
        } throws: { error in
            error is ConfigurationFailure && !"\(error)".contains("sk-secret")
        }
    }

    @Test func `a missing file that was asked for is an error`() async throws {
        var overrides = ServerConfiguration.Overrides()
        overrides.configurationFile = "/nowhere/tau.yaml"
        await #expect(throws: ConfigurationFailure.self) { _ = try await ServerConfiguration.load(overrides) }
    }
}
