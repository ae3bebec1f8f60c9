import Printing
import Testing

/// Nothing that is printed hides, moves the cursor or turns the text around it.
struct PrintableTests {
  @Test(arguments: [
    "worker-3.example/4711", "", "~ tilde, \\ and \"quotes\"", "Zürich", "ホスト", "Ελλάδα é", "no\u{a0}break", "🛰",
  ])
  func whatIsSeenStays(text: String) {
    #expect(text.printable == text && text.printableLines == text && text.printableJSON == text)
    #expect(String(printing: text.utf8) == text)
  }

  @Test(arguments: [
    ("red \u{1b}[31m", #"red \u{1b}[31m"#, #"red \u001b[31m"#), ("two\rone", #"two\rone"#, #"two\u000done"#),
    ("tab\t", #"tab\t"#, #"tab\u0009"#), ("bell\u{7}", #"bell\u{7}"#, #"bell\u0007"#),
    ("del\u{7f}", #"del\u{7f}"#, #"del\u007f"#), ("csi\u{9b}31m", #"csi\u{9b}31m"#, #"csi\u009b31m"#),
    ("gpj.\u{202e}exe", #"gpj.\u{202e}exe"#, #"gpj.\u202eexe"#),
    ("\u{2066}iso\u{2069}\u{200e}", #"\u{2066}iso\u{2069}\u{200e}"#, #"\u2066iso\u2069\u200e"#),
    ("zero\u{200b}width\u{feff}", #"zero\u{200b}width\u{feff}"#, #"zero\u200bwidth\ufeff"#),
    ("\u{2028}\u{2029}", #"\u{2028}\u{2029}"#, #"\u2028\u2029"#), ("\r\n", #"\r\n"#, "\\u000d\n"),
    ("tag\u{e0041}", #"tag\u{e0041}"#, #"tag\udb40\udc41"#), ("\0", #"\u{0}"#, #"\u0000"#),
  ])
  func whatHidesIsEscaped(text: String, escaped: String, json: String) {
    #expect(text.printable == escaped)
    #expect(text.printableJSON == json)
    #expect(String(printing: text.utf8) == escaped)
  }

  @Test func linesOfOurOwnStayLines() {
    #expect("a\nb".printable == #"a\nb"#)
    #expect("a\nb\r\nc\u{1b}".printableLines == "a\nb\\r\nc\\u{1b}")
  }

  @Test func bytesThatAreNoUTF8AreSaid() {
    #expect(String(printing: Array("é".utf8) + [0xe9, 0x2e, 0xff, 0x1b, 0xe2, 0x82]) == #"é\xe9.\xff\u{1b}\xe2\x82"#)
  }
}
