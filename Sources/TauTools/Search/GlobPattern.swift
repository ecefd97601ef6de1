/// A pattern of file names as .gitignore has them: `*` and `?` within a name, `**` across directories, `[a-z]`, `{a,b}`.
///
/// It is compared as an automaton over bytes, in time proportional to pattern and path. Bytes stand for characters: a class
/// knows ASCII only.
struct GlobPattern: Sendable {
    private enum Element: Sendable, Hashable {
        case byte(UInt8)
        /// One of, or none of, the ASCII characters.
        case oneOf(Set<UInt8>, isNegated: Bool)
        /// The first byte of any character but a slash.
        case any
        /// Any number of bytes that go on with a character.
        case continuations
        /// Any number of characters but slashes.
        case star
        /// Any number of directories, each with its slash.
        case directories
        /// Everything, at least one byte.
        case everything
    }

    private struct Alternative: Sendable {
        var elements: [Element]
        /// The pattern is this text.
        var literal: [UInt8]?
        /// The pattern is `*` and this text, which names without a slash end in.
        var suffix: [UInt8]?

        init(_ elements: [Element]) {
            self.elements = elements
            func bytes(_ elements: ArraySlice<Element>) -> [UInt8]? {
                var bytes: [UInt8] = []
                for element in elements {
                    guard case .byte(let byte) = element else { return nil }
                    bytes.append(byte)
                }
                return bytes
            }
            literal = bytes(elements[...])
            suffix = elements.first == .star ? bytes(elements.dropFirst()) : nil
        }

        func matches(_ path: [UInt8]) -> Bool {
            if let literal { return path == literal }
            if let suffix, !path.contains(UInt8(ascii: "/")) {
                return path.count >= suffix.count && path[(path.count - suffix.count)...].elementsEqual(suffix)
            }
            return GlobPattern.matches(elements, path)
        }
    }

    private let alternatives: [Alternative]
    private let ignoresCase: Bool

    private static let maxAlternatives = 64

    init(_ pattern: some Collection<UInt8>, ignoresCase: Bool = false) {
        self.ignoresCase = ignoresCase
        alternatives = Self.expanded(Array(pattern)).prefix(Self.maxAlternatives).map { alternative in
            Alternative(Self.elements(ignoresCase ? alternative.map(Self.lowercased) : alternative))
        }
    }

    func matches(_ path: some Collection<UInt8>) -> Bool {
        let path = ignoresCase ? path.map(Self.lowercased) : Array(path)
        return alternatives.contains { $0.matches(path) }
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }

    // MARK: Reading

    /// One pattern for each choice of `{a,b}`, also nested.
    private static func expanded(_ pattern: [UInt8]) -> [[UInt8]] {
        var finished: [[UInt8]] = []
        var open = [pattern]
        while let next = open.popLast(), finished.count + open.count < maxAlternatives {
            guard let (start, end, commas) = firstBraces(next) else {
                finished.append(next)
                continue
            }
            let bounds = [start] + commas + [end]
            for (from, to) in zip(bounds, bounds.dropFirst()).reversed() {
                var alternative = Array(next[..<start])
                alternative += next[(from + 1)..<to]
                alternative += next[(end + 1)...]
                open.append(alternative)
            }
        }
        return finished
    }

    /// Where the first complete braces with a comma are, and the commas between them.
    private static func firstBraces(_ pattern: [UInt8]) -> (start: Int, end: Int, commas: [Int])? {
        var starts: [(index: Int, commas: [Int])] = []
        var index = 0
        while index < pattern.count {
            switch pattern[index] {
            case UInt8(ascii: "\\"): index += 1
            case UInt8(ascii: "{"): starts.append((index, []))
            case UInt8(ascii: ",") where !starts.isEmpty: starts[starts.count - 1].commas.append(index)
            case UInt8(ascii: "}"):
                if let start = starts.popLast() { return (start.index, index, start.commas) }
            default: break
            }
            index += 1
        }
        return nil
    }

    private static func elements(_ pattern: [UInt8]) -> [Element] {
        let (slash, star) = (UInt8(ascii: "/"), UInt8(ascii: "*"))
        var elements: [Element] = []
        var index = 0
        while index < pattern.count {
            let rest = pattern[index...]
            let isAtName = index == 0 || pattern[index - 1] == slash
            switch pattern[index] {
            case star where isAtName && rest.starts(with: [star, star, slash]):
                elements.append(.directories)
                index += 3
                continue
            case star where isAtName && rest.elementsEqual([star, star]):
                elements.append(.everything)
                index += 2
                continue
            case star:
                if elements.last != .star { elements.append(.star) }
            case UInt8(ascii: "?"): elements += [.any, .continuations]
            case UInt8(ascii: "["):
                if let (element, end) = characterClass(pattern, at: index) {
                    elements += element == .any ? [.any, .continuations] : [element]
                    index = end
                } else {
                    elements.append(.byte(pattern[index]))
                }
            case UInt8(ascii: "\\") where index + 1 < pattern.count:
                index += 1
                elements.append(.byte(pattern[index]))
            default: elements.append(.byte(pattern[index]))
            }
            index += 1
        }
        return elements
    }

    /// The class that begins at `start`, and where its bracket closes; nil if it does not.
    private static func characterClass(_ pattern: [UInt8], at start: Int) -> (Element, end: Int)? {
        var index = start + 1
        var members: Set<UInt8> = []
        let isNegated =
            index < pattern.count && (pattern[index] == UInt8(ascii: "!") || pattern[index] == UInt8(ascii: "^"))
        if isNegated { index += 1 }
        let first = index
        while index < pattern.count {
            if pattern[index] == UInt8(ascii: "]"), index > first {
                return (.oneOf(members, isNegated: isNegated), index)
            }
            if pattern[index] == UInt8(ascii: "\\"), index + 1 < pattern.count { index += 1 }
            let low = pattern[index]
            if index + 2 < pattern.count, pattern[index + 1] == UInt8(ascii: "-"),
                pattern[index + 2] != UInt8(ascii: "]")
            {
                let high = pattern[index + 2]
                if low <= high { members.formUnion(low...high) }
                index += 3
            } else {
                members.insert(low)
                index += 1
            }
        }
        return nil
    }

    // MARK: Comparing

    private static func matches(_ elements: [Element], _ path: [UInt8]) -> Bool {
        var active = [Bool](repeating: false, count: elements.count + 1)
        active[0] = true
        skip(elements, &active, isNameStart: true)
        var next = active
        for byte in path {
            for index in next.indices { next[index] = false }
            var isAlive = false
            for index in elements.indices where active[index] {
                let (stays, advances) = step(elements[index], byte)
                if stays { next[index] = true }
                if advances { next[index + 1] = true }
                isAlive = isAlive || stays || advances
            }
            guard isAlive else { return false }
            skip(elements, &next, isNameStart: byte == UInt8(ascii: "/"))
            swap(&active, &next)
        }
        return active[elements.count]
    }

    /// Passes by what may match nothing.
    private static func skip(_ elements: [Element], _ active: inout [Bool], isNameStart: Bool) {
        for (index, element) in elements.enumerated() where active[index] {
            switch element {
            case .continuations, .star: active[index + 1] = true
            case .directories: if isNameStart { active[index + 1] = true }
            case .byte, .oneOf, .any, .everything: break
            }
        }
    }

    private static func step(_ element: Element, _ byte: UInt8) -> (stays: Bool, advances: Bool) {
        let slash = UInt8(ascii: "/")
        switch element {
        case .byte(let expected): return (false, byte == expected)
        case .oneOf(let members, let isNegated): return (false, byte != slash && members.contains(byte) != isNegated)
        case .any: return (false, byte != slash && byte & 0xC0 != 0x80)
        case .continuations: return (byte & 0xC0 == 0x80, false)
        case .star: return (byte != slash, false)
        case .directories: return (true, false)
        case .everything: return (true, true)
        }
    }
}
