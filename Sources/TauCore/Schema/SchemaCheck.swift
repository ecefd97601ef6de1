/// One walk over a value and the schemas that apply to it.
struct SchemaCheck {
    let nodes: [SchemaNode]
    /// Whether values of a near kind are turned into the one asked for.
    let coerces: Bool
    private(set) var problems: [ArgumentValidation.Problem] = []
    private var depth = 0
    private var steps = 0

    private static let maxDepth = 256
    /// Schemas applied to values, for alternatives that refer to each other can be without number.
    private static let maxSteps = 1_000_000
    /// More would only fill the model's window.
    private static let maxProblems = 50

    init(nodes: [SchemaNode], coerces: Bool) {
        self.nodes = nodes
        self.coerces = coerces
    }

    private mutating func report(_ path: String, _ message: String) {
        guard problems.count < Self.maxProblems else { return }
        problems.append(.init(path: path.isEmpty ? "arguments" : path, message: message))
    }

    /// The value as it should be; problems are noted.
    mutating func check(_ value: JSONValue, against number: Int, path: String) -> JSONValue {
        depth += 1
        steps += 1
        defer { depth -= 1 }
        guard steps <= Self.maxSteps else {
            report(path, "takes too long to check")
            return value
        }
        guard depth <= Self.maxDepth else {
            report(path, "is nested too deeply")
            return value
        }
        let node = nodes[number]
        if node.isNever {
            report(path, "is not allowed")
            return value
        }
        var value = value
        if let reference = node.reference { value = check(value, against: reference, path: path) }
        if !node.types.isEmpty {
            guard let typed = value.typed(node.types, coerces: coerces) else {
                report(path, "must be \(Self.names(node.types))")
                return value
            }
            value = typed
        }
        checkAllowed(value, node, path)
        switch value {
        case .object(let object): value = checkObject(object, node, path)
        case .array(let elements): value = checkArray(elements, node, path)
        case .string(let text): checkString(text, node, path)
        case .number: checkNumber(value, node, path)
        case .null, .bool: break
        }
        return checkLogic(value, node, path)
    }

    /// Whether a value fits, without noting problems; then as it should be.
    private mutating func attempt(_ value: JSONValue, _ number: Int, _ path: String) -> JSONValue? {
        let before = problems
        problems = []
        let result = check(value, against: number, path: path)
        let fits = problems.isEmpty
        problems = before
        return fits ? result : nil
    }

    // MARK: Any kind

    private mutating func checkAllowed(_ value: JSONValue, _ node: SchemaNode, _ path: String) {
        if let allowed = node.allowed, !allowed.contains(where: { $0.isSame(as: value) }) {
            report(path, "must be one of \(allowed.prefix(20).map(\.text).joined(separator: ", "))")
        }
        if let constant = node.constant, !constant.isSame(as: value) { report(path, "must be \(constant.text)") }
    }

    private mutating func checkLogic(_ value: JSONValue, _ node: SchemaNode, _ path: String) -> JSONValue {
        var value = value
        for number in node.allOf { value = check(value, against: number, path: path) }
        if let choices = node.anyOf { value = checkAny(value, choices, path) }
        if let choices = node.oneOf {
            let fitting = choices.compactMap { attempt(value, $0, path) }
            if fitting.count == 1 {
                value = fitting[0]
            } else if fitting.isEmpty {
                value = checkAny(value, choices, path)
            } else {
                report(path, "fits \(fitting.count) of the alternatives and must fit exactly one")
            }
        }
        if let not = node.not, attempt(value, not, path) != nil { report(path, "is not allowed to be like this") }
        if let condition = node.condition {
            let next = attempt(value, condition, path) != nil ? node.consequence : node.alternative
            if let next { value = check(value, against: next, path: path) }
        }
        return value
    }

    private mutating func checkAny(_ value: JSONValue, _ choices: [Int], _ path: String) -> JSONValue {
        for number in choices {
            if let fitting = attempt(value, number, path) { return fitting }
        }
        // The problems of a single alternative say more than that there is one.
        if choices.count == 1 { return check(value, against: choices[0], path: path) }
        report(path, "fits none of the \(choices.count) alternatives")
        return value
    }

    // MARK: Objects

    private mutating func checkObject(_ object: JSONObject, _ node: SchemaNode, _ path: String) -> JSONValue {
        var object = object
        for name in node.required where object[name] == nil { report(Self.join(path, name), "is required") }
        for (name, required) in node.dependentRequired where object[name] != nil {
            for other in required where object[other] == nil {
                report(Self.join(path, other), "is required beside \(name)")
            }
        }
        checkCount(object.members.count, node.propertyCount, "members", path)
        for member in object.members {
            let inner = Self.join(path, member.key)
            if let names = node.propertyNames, attempt(.string(member.key), names, inner) == nil {
                report(inner, "has a name that is not allowed")
            }
            var value = member.value
            var isKnown = false
            for (name, schema) in node.properties where name.utf8.elementsEqual(member.key.utf8) {
                value = check(value, against: schema, path: inner)
                isKnown = true
            }
            for (pattern, schema) in node.patternProperties where pattern.matches(member.key) {
                value = check(value, against: schema, path: inner)
                isKnown = true
            }
            if !isKnown, let additional = node.additionalProperties {
                if nodes[additional].isNever {
                    report(inner, "is not a known argument")
                } else {
                    value = check(value, against: additional, path: inner)
                }
            }
            object.update(member.key, to: value)
        }
        var value = JSONValue.object(object)
        for (name, schema) in node.dependentSchemas where object[name] != nil {
            value = check(value, against: schema, path: path)
        }
        return value
    }

    // MARK: Arrays

    private mutating func checkArray(_ elements: [JSONValue], _ node: SchemaNode, _ path: String) -> JSONValue {
        checkCount(elements.count, node.itemCount, "elements", path)
        var checked = elements
        for index in checked.indices {
            let schema = index < node.prefixItems.count ? node.prefixItems[index] : node.items
            if let schema {
                checked[index] = check(checked[index], against: schema, path: Self.join(path, String(index)))
            }
        }
        if node.itemsAreUnique, checked.hasTwins { report(path, "must not hold the same element twice") }
        if let contains = node.contains {
            let count = checked.count { attempt($0, contains, path) != nil }
            let least = node.containsCount.minimum ?? 1
            if count < least { report(path, "must hold at least \(least) elements of the kind asked for") }
            if let most = node.containsCount.maximum, count > most {
                report(path, "must hold at most \(most) elements of the kind asked for")
            }
        }
        return .array(checked)
    }

    private mutating func checkCount(_ count: Int, _ bounds: SchemaNode.Bounds, _ unit: String, _ path: String) {
        if let minimum = bounds.minimum, count < minimum { report(path, "must have at least \(minimum) \(unit)") }
        if let maximum = bounds.maximum, count > maximum { report(path, "must have at most \(maximum) \(unit)") }
    }

    // MARK: Texts and numbers

    private mutating func checkString(_ text: String, _ node: SchemaNode, _ path: String) {
        if node.length.minimum != nil || node.length.maximum != nil {
            checkCount(text.unicodeScalars.count, node.length, "characters", path)
        }
        if let pattern = node.pattern, !pattern.matches(text) { report(path, "must match \(pattern.text)") }
    }

    private mutating func checkNumber(_ value: JSONValue, _ node: SchemaNode, _ path: String) {
        guard let number = value.double else { return report(path, "must be a finite number") }
        func text(_ bound: Double) -> String { JSONWriter.javaScriptNumber(bound) }
        if let bound = node.minimum, number < bound { report(path, "must be at least \(text(bound))") }
        if let bound = node.maximum, number > bound { report(path, "must be at most \(text(bound))") }
        if let bound = node.exclusiveMinimum, number <= bound { report(path, "must be more than \(text(bound))") }
        if let bound = node.exclusiveMaximum, number >= bound { report(path, "must be less than \(text(bound))") }
        if let unit = node.multipleOf {
            let quotient = number / unit
            // Decimal fractions have no exact binary form: 0.0075 is 75 times 0.0001 all the same.
            let isMultiple = quotient.isFinite && abs(quotient - quotient.rounded()) <= abs(quotient) * 1e-12
            if !isMultiple { report(path, "must be a multiple of \(text(unit))") }
        }
    }

    // MARK: Words

    private static func join(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private static func names(_ types: [SchemaType]) -> String {
        let names = types.map { type in
            switch type {
            case .integer: "a whole number"
            case .array, .object: "an \(type.rawValue)"
            case .null: "null"
            case .string, .number, .boolean: "a \(type.rawValue)"
            }
        }
        return names.joined(separator: " or ")
    }
}

extension [JSONValue] {
    /// Whether two elements are the same.
    fileprivate var hasTwins: Bool {
        var seen: Set<[UInt8]> = []
        return contains { !seen.insert(Array<UInt8>($0.canonical.text.utf8)).inserted }
    }
}
