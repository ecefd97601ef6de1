internal import TauCore

/// How demanding a message is.
package enum ModelTier: String, Sendable, Hashable, CaseIterable {
    case simple, medium, complex
}

/// When a message is simple and when it is complex: data, to be changed in the configuration (`models.rules`).
package struct TierRules: Sendable, Equatable {
    /// What makes a message one of a tier; any of it does.
    package struct Rule: Sendable, Equatable {
        /// Characters.
        package var shorterThan: Int?
        /// Characters.
        package var longerThan: Int?
        /// Beginnings of words by language; in Chinese and Japanese any part of the text counts.
        package var words: [String: [String]] = [:] {
            didSet {
                starts = words.sorted { $0.key < $1.key }.flatMap { language, words in
                    words.map { WordStart($0, of: language) }
                }
            }
        }
        /// The words in the order in which they are looked for.
        private var starts: [WordStart] = []
        /// Images and further blocks beside the text, at least so many.
        package var attachments: Int?
        /// The session asks for one of these tools.
        package var tools: [String] = []
        /// The branch before the message has more tokens.
        package var branchTokensAbove: Int?

        package init() {}
    }

    package var simple: Rule
    package var complex: Rule
    /// The languages whose words count (`models.languages`); nil for all.
    package var languages: Set<String>?

    package init() {
        simple = Rule()
        simple.shorterThan = 100
        complex = Rule()
        complex.words = [
            "en": ["refactor", "architect", "rearchitect", "redesign", "restructur", "migrat", "system design"],
            "zh": ["重构", "重構", "架构", "架構", "重新设计", "重新設計", "系统设计", "系統設計", "迁移", "遷移"],
        ]
    }

    /// The tier of a message, and why. A demanding word counts in a short message, too: Chinese ones are nearly always short.
    func judge(_ task: ModelTask) -> (tier: ModelTier, reason: String) {
        if let reason = complex.matches(task, languages) { return (.complex, reason) }
        if let reason = simple.matches(task, languages) { return (.simple, reason) }
        return (.medium, "neither simple nor complex")
    }
}

extension TierRules.Rule {
    fileprivate func matches(_ task: ModelTask, _ languages: Set<String>?) -> String? {
        let text = task.message.content.joinedText
        if let word = firstWord(in: text, languages) { return "speaks of \"\(word)\"" }
        if let shorterThan, text.count < shorterThan { return "shorter than \(shorterThan) characters" }
        if let longerThan, text.count > longerThan { return "longer than \(longerThan) characters" }
        let others = task.message.content.count { $0.text == nil }
        if let attachments, others >= attachments { return "\(others) attachments" }
        if let tool = tools.first(where: task.toolNames.contains) { return "asks for the tool \(tool)" }
        if let branchTokensAbove, task.branchTokens > branchTokensAbove {
            return "a branch of more than \(branchTokensAbove) tokens"
        }
        return nil
    }

    private func firstWord(in text: String, _ languages: Set<String>?) -> String? {
        guard !starts.isEmpty else { return nil }
        let lowered = text.lowercased()
        let bytes = Array(lowered.utf8)
        let isASCII = bytes.allSatisfy { $0 < 0x80 }
        return starts.first { start in
            languages?.contains(start.language) != false && start.mayBe(in: bytes, isASCII: isASCII)
                && lowered.hasWord(beginningWith: start.lowered)
        }?.word
    }
}

/// The beginning of a word that makes a message demanding.
private struct WordStart: Sendable, Equatable {
    var language: String
    var word: String
    var lowered: String
    /// The same; nil where it is not ASCII, so that one text can be written in several ways.
    var ascii: [UInt8]?

    init(_ word: String, of language: String) {
        self.language = language
        self.word = word
        lowered = word.lowercased()
        ascii = lowered.utf8.allSatisfy { $0 < 0x80 } ? Array(lowered.utf8) : nil
    }

    /// Whether it is worth looking for it character by character, which takes far longer than to see that most messages have no such bytes.
    func mayBe(in text: [UInt8], isASCII: Bool) -> Bool {
        guard let ascii else { return !isASCII }
        guard let first = ascii.first, text.count >= ascii.count else { return false }
        return (0...(text.count - ascii.count)).contains { place in
            text[place] == first && text[place..<(place + ascii.count)].elementsEqual(ascii)
        }
    }
}

extension String {
    /// Whether a word begins so; where words are not set apart, whether it occurs at all.
    fileprivate func hasWord(beginningWith start: String) -> Bool {
        guard let first = start.unicodeScalars.first else { return false }
        // Ideographs, kana and Hangul.
        let isAnywhere = (0x2E80...0x9FFF).contains(first.value) || (0xAC00...0xD7AF).contains(first.value)
        return ranges(of: start).contains { range in
            guard !isAnywhere, range.lowerBound != startIndex else { return true }
            let before = self[index(before: range.lowerBound)]
            return !before.isLetter && !before.isNumber
        }
    }
}
