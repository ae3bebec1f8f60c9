import Foundation
import TestSupport
import Testing

/// What a network sees and a run remembers, as people ask for it.
@Suite(.serialized, .ownThreads) struct VisualizeTests {
  let workshop: Workshop

  init() throws { workshop = try Workshop() }

  private func json(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  /// A run whose views are the pictures themselves, and whose weights hardly move: then the row of a picture is what the
  /// picture is embedded as, to some digits.
  private static let still = [
    "--global-crops-scale", "1,1", "--crop-aspect-ratio", "1,1", "--flip-probability", "0",
    "--color-jitter-probability",
    "0", "--grayscale-probability", "0", "--blur-probability-view-0", "0", "--blur-probability-view-1", "0",
    "--solarize-probability", "0", "--lr", "1e-12", "--min-lr", "0", "--weight-decay", "0", "--weight-decay-end", "0",
    "--memory-size", "256", "--max-steps", "20",
  ]

  private func out(_ name: String) -> String { workshop.folder + "/" + name }

  private func isPNG(_ name: String) -> Bool {
    let bytes = FileManager.default.contents(atPath: out(name)) ?? Data()
    return bytes.starts(with: [0x89, 0x50, 0x4E, 0x47])
  }

  private func neighbours(
    _ run: String, of pictures: [String], data: String? = nil, _ more: [String] = []
  ) throws -> Program.Ended {
    try Program.run(
      [
        "visualize", "neighbours", "--run", workshop.run(run), "--data", data ?? workshop.data, "--k", "3", "--json",
        "--out",
        out("n.png"),
      ] + pictures + more)
  }

  private func nearest(_ ended: Program.Ended) throws -> [(cosine: Double, step: Int?, picture: String?)] {
    try #require(ended.status == 0, "\(ended)")
    let entries = try #require(try json(ended.output)["pictures"] as? [[String: Any]])
    return entries.compactMap { entry in
      (entry["neighbours"] as? [[String: Any]])?.first.map {
        ($0["cosine"] as? Double ?? 0, $0["step"] as? Int, $0["picture"] as? String)
      }
    }
  }

  // MARK: The memory

  @Test(arguments: [false, true]) func aPictureIsNearestToItsOwnRow(hasBatchNorm: Bool) throws {
    // Slices of 16 and their statistics: with BatchNorm a row depends a little on the pictures beside it.
    let flags = Self.still + ["--use-bn-in-head", "\(hasBatchNorm)", "--slice-size", "16"]
    #expect(try Program.run(workshop.arguments("still") + flags).status == 0)
    let names = try FileManager.default.subpathsOfDirectory(atPath: workshop.data).filter { $0.hasSuffix(".jpg") }
    let asked = stride(from: 3, to: names.count, by: 29).map { names.sorted()[$0] }
    let found = try nearest(neighbours("still", of: asked.map { workshop.data + "/" + $0 }))
    #expect(found.count == asked.count && isPNG("n.png"))
    if !hasBatchNorm {
      #expect(found.map(\.picture) == asked)
      // All 160 pictures are in the newest 256 rows, in the second epoch too.
      #expect(found.allSatisfy { $0.cosine > 0.9999 && (4..<20).contains($0.step ?? -1) }, "\(found)")
    } else {
      // After so few steps running statistics are far from any slice's; that heads fold right is FrozenHeadTests' claim.
      #expect(found.allSatisfy { $0.picture != nil && (0.1...1.0001).contains($0.cosine) }, "\(found)")
    }
  }

  @Test func rowsFromBeforeAForkAreOfNoPictureThatIsKnown() throws {
    #expect(try Program.run(workshop.arguments("old") + Self.still).status == 0)
    #expect(
      try Program.run([
        "fork", "--run", workshop.run("old"), "--to", workshop.run("new"), "batch_size=32", "max_steps=40",
      ]).status == 0)
    let names = try FileManager.default.subpathsOfDirectory(atPath: workshop.data).filter { $0.hasSuffix(".jpg") }
    let picture = workshop.data + "/" + (try #require(names.min()))
    let forked = try nearest(neighbours("new", of: [picture]))
    #expect(forked.allSatisfy { $0.step == nil && $0.picture == nil && $0.cosine > 0.9999 }, "\(forked)")

    // With other pictures too, whose numbers are others'.
    let more = try workshop.copyOfPictures("more")
    try FileManager.default.copyItem(atPath: workshop.onePicture, toPath: more + "/000.jpg")
    #expect(
      try Program.run([
        "fork", "--run", workshop.run("old"), "--to", workshop.run("grown"), "--data", more, "max_steps=40",
      ]).status == 0)
    // The folder is the new run's by now.
    let other = try nearest(neighbours("grown", of: [picture], data: more))
    #expect(other.allSatisfy { $0.picture == nil }, "\(other)")
    let wrong = try neighbours("grown", of: [picture])
    #expect(wrong.status == 64 && wrong.errors.contains("has other pictures than those that"), "\(wrong)")
  }

  @Test func aPictureThatIsGoneIsSaidAndCrossedOut() throws {
    #expect(try Program.run(workshop.arguments("gone") + Self.still).status == 0)
    let names = try FileManager.default.subpathsOfDirectory(atPath: workshop.data).filter { $0.hasSuffix(".jpg") }
      .sorted()
    let copy = out("copy.jpg")
    try FileManager.default.copyItem(atPath: workshop.data + "/" + names[5], toPath: copy)
    let size = try Data(contentsOf: URL(fileURLWithPath: copy)).count
    // As large as before, so that the folder is still the run's.
    try Data(count: size).write(to: URL(fileURLWithPath: workshop.data + "/" + names[5]))
    chmod(workshop.data + "/" + names[5], 0)
    let ended = try neighbours("gone", of: [copy])
    let found = try nearest(ended)
    #expect(isPNG("n.png") && found.count == 1)
    if getuid() != 0 {
      #expect(found[0].picture == names[5] && ended.errors.contains("cannot be shown"), "\(ended)")
    } else {
      // To root it can be read, and does not decode: the next one stands in its place, as in training.
      #expect(found[0].picture == names[6], "\(ended)")
    }
  }

  // MARK: Views and curves

  @Test func viewsOfAStepAreThoseOfItsPictures() throws {
    #expect(try Program.run(workshop.arguments("seen")).status == 0)
    let ofStep = try Program.run([
      "visualize", "views", "--run", workshop.run("seen"), "--data", workshop.data, "--step", "7", "--count", "2",
      "--out",
      out("v.png"),
    ])
    #expect(
      ofStep.status == 0 && ofStep.output.contains("4 views of each of 2 pictures") && isPNG("v.png"), "\(ofStep)")
    // One of the run's own pictures has its own views: another file of the same bytes has others.
    let one = workshop.onePicture
    let copy = out("copy.jpg")
    try FileManager.default.copyItem(atPath: one, toPath: copy)
    var sheets: [Data?] = []
    for arguments in [["--data", workshop.data, one], [copy], [one]] {
      let ended = try Program.run(
        ["visualize", "views", "--run", workshop.run("seen"), "--out", out("v.png")] + arguments)
      #expect(ended.status == 0, "\(ended)")
      sheets.append(FileManager.default.contents(atPath: out("v.png")))
    }
    #expect(sheets[0] != nil && sheets[0] != sheets[1])
    let foreign = try Program.run([
      "visualize", "views", "--run", workshop.run("seen"), "--data", workshop.data, "--out", out("v.png"), copy,
    ])
    #expect(foreign.status == 64 && foreign.errors.contains("is not among the run's pictures in"), "\(foreign)")
    let past = try Program.run([
      "visualize", "views", "--run", workshop.run("seen"), "--data", workshop.data, "--step", "30", "--out",
      out("v.png"),
    ])
    #expect(past.status == 64 && past.errors.contains("has no step 30: its last is 29."), "\(past)")
    // A fork's steps before it were another run's, with other views.
    let forked = try Program.run([
      "fork", "--run", workshop.run("seen"), "--to", workshop.run("forked"), "seed=9", "max_steps=40",
    ])
    #expect(forked.status == 0, "\(forked)")
    let views = ["visualize", "views", "--run", workshop.run("forked"), "--data", workshop.data, "--out", out("v.png")]
    let before = try Program.run(views + ["--step", "29"])
    #expect(
      before.status == 64 && before.errors.contains("changed at step 30. Give a step from there on"), "\(before)")
    let first = try Program.run(views)
    let same = FileManager.default.contents(atPath: out("v.png"))
    #expect(first.status == 0, "\(first)")
    #expect(try Program.run(views + ["--step", "30"]).status == 0)
    #expect(same != nil && same == FileManager.default.contents(atPath: out("v.png")))
    let curves = try Program.run(["visualize", "curves", "--run", workshop.run("seen"), "--out", out("c.svg")])
    #expect(curves.status == 0 && curves.output.contains("charts of"), "\(curves)")
    let svg = try String(contentsOfFile: out("c.svg"), encoding: .utf8)
    #expect(svg.hasPrefix("<svg ") && svg.contains("prefers-color-scheme: dark") && svg.contains("Learning rate"))
  }

  // MARK: The report

  @Test func theReportSaysWhatKNNSays() throws {
    #expect(try Program.run(workshop.arguments("judged")).status == 0)
    let test = workshop.folder + "/test"
    let classes = try FileManager.default.contentsOfDirectory(atPath: test).sorted()
    try Data("words".utf8).write(to: URL(fileURLWithPath: "\(test)/\(classes[0])/a<b>&\"c\".jpg"))
    let one = try FileManager.default.contentsOfDirectory(atPath: "\(test)/\(classes[1])").sorted()[0]
    let evil = "0<img src=x>&'.jpg"
    try FileManager.default.moveItem(atPath: "\(test)/\(classes[1])/\(one)", toPath: "\(test)/\(classes[1])/\(evil)")
    let arguments = ["--run", workshop.run("judged"), "--train", workshop.data, "--test", test, "--k", "5", "20"]
    let knn = try Program.run(["evaluate", "knn", "--json"] + arguments)
    try Data(knn.output.utf8).write(to: URL(fileURLWithPath: out("knn.json")))
    let ended = try Program.run(
      ["evaluate", "report", "--out", out("r.html"), "--show", "40", "--include", out("knn.json")] + arguments)
    #expect(ended.status == 0 && ended.errors.contains("1 pictures of --test skipped"), "\(ended)")
    let page = try String(contentsOfFile: out("r.html"), encoding: .utf8)

    // 1. The figures in it are those.
    let script = try #require(
      page.components(separatedBy: "id=\"figures\">\n").last?.components(separatedBy: "\n</script>").first)
    let (figures, expected) = (try json(script), try json(knn.output))
    for key in ["bank", "queries"] { #expect(figures[key] as? Int == expected[key] as? Int) }
    let rows = try #require(figures["knn"] as? [[String: Double]])
    #expect(rows == expected["knn"] as? [[String: Double]] && rows.count == 2)
    let shown = rows.flatMap { row in ["trained", "untrained", "pixels"].compactMap { row[$0] } }
    for figure in shown { #expect(page.contains("<td>\(String(format: "%.3f", figure))</td>"), "\(figure)") }
    let confusion = try #require(figures["confusion"] as? [[Int]])
    let right = confusion.indices.reduce(0) { $0 + confusion[$1][$1] }
    #expect(confusion.joined().reduce(0, +) == 40)
    #expect(Double(right) / 40 == rows[1]["trained"])
    #expect(page.contains("\(right) of 40 lie on the diagonal."))

    // 2. Neighbours and their cosines fall, and are of the bank.
    let neighbours = try #require(figures["neighbours"] as? [[String: Any]])
    #expect(neighbours.count == 40)
    for entry in neighbours {
      let cosines = try #require(entry["neighbours"] as? [[String: Any]]).compactMap { $0["cosine"] as? Double }
      #expect(cosines.count == 8 && cosines == cosines.sorted(by: >))
    }
    let voted = neighbours.count { $0["voted"] as? String == $0["label"] as? String }
    #expect(voted == right)

    // 3. Names are text, and nothing comes from outside.
    #expect(page.contains("0&lt;img src=x&gt;&amp;&#39;.jpg") && !page.contains("<img src=x"))
    #expect(!page.contains("http:") && !page.contains("https:") && !page.contains("<link"))
    #expect(page.components(separatedBy: "<script").count == 2, "one, of data")
    #expect(page.contains("<h2>knn.json</h2>"))
    // The same evaluation, the same page.
    #expect(
      try Program.run(
        ["evaluate", "report", "--out", out("again.html"), "--show", "40", "--include", out("knn.json")] + arguments
      ).status == 0)
    #expect(try String(contentsOfFile: out("again.html"), encoding: .utf8) == page)
  }

  // MARK: Bad input

  @Test func whatCannotBeDrawnIsSaidBeforeAnythingIsComputed() throws {
    #expect(try Program.run(workshop.arguments("run") + ["--max-steps", "5"]).status == 0)
    let (run, picture) = (workshop.run("run"), workshop.onePicture)
    let empty = try workshop.folder("empty")
    try Data("words".utf8).write(to: URL(fileURLWithPath: out("text.jpg")))
    let attention = ["visualize", "attention", "--run", run, "--out", out("a.png")]
    let cases: [([String], Int32, String)] = [
      (attention, 64, "Give pictures, or a folder of them."),
      (attention + [empty], 64, "\(empty) is empty. Give a folder of JPEG, PNG or WebP pictures, at any depth."),
      (
        attention + [out("text.jpg")], 64,
        "None of the 1 pictures can be used. The first is \(out("text.jpg")): it is no picture that decodes"
      ),
      (attention + [out("none.jpg")], 64, "None of the 1 pictures can be used."),
      (
        attention + ["--side", "20", picture], 64,
        "--side 20 cannot be cut in patches of 8 pixels. Give a multiple of 8."
      ),
      (attention + ["--mass", "0", picture], 64, "--mass must be above 0 and at most 1, not 0.0."),
      (attention + ["--count", "0", picture], 64, "--count must be at least 1, not 0."),
      (attention + ["--step", "77", picture], 64, "has no checkpoint of step 77."),
      (["visualize", "attention", "--run", run, picture, "--out", out("a.jpg")], 64, "Give a name that ends in .png."),
      (
        ["visualize", "attention", "--run", run, picture, "--out", out("no/a.png")], 64,
        "there is no folder \(out("no"))."
      ),
      (["visualize", "attention", picture, "--out", out("a.png")], 64, "Give either --run or --weights."),
      (["visualize", "curves", "--run", empty, "--out", out("c.svg")], 64, "has no record of any step."),
      (
        ["visualize", "views", picture, "--step", "3", "--out", out("v.png")], 64,
        "--data and --step are those of a --run."
      ),
      (["visualize", "views", "--run", run, "--depth", "3", picture, "--out", out("v.png")], 64, "A run says itself"),
      (["visualize", "views", "--run", run, "--step", "3", picture, "--out", out("v.png")], 64, "--step needs --data"),
      (
        [
          "evaluate", "report", "--run", run, "--train", workshop.data, "--test", workshop.data, "--out", out("r.html"),
          "--include", out("text.jpg"),
        ], 64, "text.jpg: it is no JSON object."
      ),
    ]
    for (arguments, status, sentence) in cases {
      let ended = try Program.run(arguments)
      #expect(ended.status == status && !ended.wasKilled, "\(arguments): \(ended)")
      #expect(ended.errors.contains(sentence), "\(arguments): \(ended.errors)")
      #expect(!ended.errors.contains("Fatal error") && ended.output.isEmpty)
    }
    // One that does not decode among others is named, and no more.
    let mixed = try Program.run(attention + [out("text.jpg"), picture])
    #expect(
      mixed.status == 0 && mixed.errors.contains("Warning: skipped \(out("text.jpg")): it is no picture that decodes"),
      "\(mixed)")
    #expect(isPNG("a.png") && mixed.output.contains("in 1 picture, 3 heads"))
    let young = try Program.start(workshop.coordinator("young", "tcp://127.0.0.1:0"))
    defer { young.terminate() }
    _ = try workshop.address("young")
    let early = try neighbours("young", of: [picture])
    #expect(early.status == 64 && early.errors.contains("has no whole checkpoint"), "\(early)")
  }

  /// What was there stays, whole, and nothing is left beside it.
  @Test(.enabled(if: getuid() == 0)) func aFullDiskLeavesTheOldPicture() throws {
    #expect(try Program.run(workshop.arguments("run") + ["--max-steps", "5"]).status == 0)
    let small = try workshop.folder("small")
    let script =
      "mount -t tmpfs -o size=8k tmpfs \(small) && echo old > \(small)/v.png || exit 9; \"$0\" \"$@\"; code=$?; "
      + "cat \(small)/v.png; ls \(small); exit $code"
    let ended = try Program.run(
      ["visualize", "views", "--run", workshop.run("run"), "--out", small + "/v.png", workshop.data],
      through: ["/usr/bin/unshare", "--mount", "sh", "-c", script])
    #expect(ended.status == 75 && ended.errors.contains("cannot write \(small)/v.png.tmp: "), "\(ended)")
    #expect(ended.output == "old\nv.png\n")
  }
}
