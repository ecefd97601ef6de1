import TauCore
import TauTestKit
import Testing

@Suite struct TimestampTests {
    @Test func `every day of 800 years is written and read as the calendar has it`() {
        var day = Timestamp(milliseconds: -6_847_804_800_000)
        for year in 1753..<2553 {
            let isLeap = year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400))
            let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            for (month, length) in lengths.enumerated() {
                for date in 1...length {
                    let text = "\(year)-\(Self.two(month + 1))-\(Self.two(date))T00:00:00.000Z"
                    guard day.description == text, Timestamp(text) == day else {
                        Issue.record("\(text) is \(day) or \(String(describing: Timestamp(text)))")
                        return
                    }
                    day.milliseconds += 86_400_000
                }
            }
        }
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    @Test func `any moment of four-digit years is read back as it was written`() {
        var generator = SeededGenerator(seed: 21)
        for _ in 0..<5000 {
            let time = Timestamp(
                milliseconds: Int64.random(in: -62_167_219_200_000...253_402_300_799_999, using: &generator))
            #expect(Timestamp(time.description) == time)
        }
    }

    @Test(arguments: [
        "0000-01-01T00:00:00.000Z", "0000-01-01T01:00:00+01:00", "9999-12-31T23:59:59.999Z",
        "9999-12-31T00:00:00-23:59",
    ])
    func `the first and the last moment have four digits of a year`(_ text: String) throws {
        let time = try #require(Timestamp(text))
        #expect(Timestamp(time.description) == time)
        #expect(time.description.utf8.count == 24)
    }

    /// A file may hold any text: a year before 0 has no form that this type writes.
    @Test(arguments: [
        "0000-01-01T00:00:00+00:01", "0000-01-01T00:00:00+99:99", "9999-12-31T23:59:59-00:01",
        "9999-12-31T23:59:60Z",
    ])
    func `a moment outside of the years 0 to 9999 is no time`(_ text: String) { #expect(Timestamp(text) == nil) }

    @Test(arguments: [
        "2026-00-15T20:34:10Z", "2026-03-00T20:34:10Z", "2026-03-32T20:34:10Z", "2026-02-30T20:34:10Z",
        "2026-02-29T20:34:10Z", "1900-02-29T20:34:10Z", "2026-04-31T20:34:10Z", "2026-03-15T20:60:10Z",
        "2026-03-15T20:34:61Z", "2026-03-15T20:34:10+24:00", "2026-03-15T20:34:10+02:60", "2026-03-15T20:34:10+0200",
        "2026-03-15T20:34:10.1234567890Z", "2026-03-15T20:34:10,5Z", "2026-3-15T20:34:10Z", "+2026-03-15T20:34:10Z",
        "２026-03-15T20:34:10Z", "2026-03-15T20:34:10.Z ", "2026-03-15T20:34:10.5", "2026-03-15T20:34:10-02",
    ])
    func `what no calendar or clock shows is no time`(_ text: String) { #expect(Timestamp(text) == nil) }

    @Test func `the leap days that there are are read`() {
        #expect(Timestamp("2024-02-29T00:00:00Z")?.description == "2024-02-29T00:00:00.000Z")
        #expect(Timestamp("2000-02-29T23:59:59.999999999Z")?.description == "2000-02-29T23:59:59.999Z")
    }

    @Test func `earlier is less`() {
        #expect(Timestamp(milliseconds: -1) < Timestamp(milliseconds: 0))
        #expect(!(Timestamp(milliseconds: 0) < Timestamp(milliseconds: 0)))
    }
}
