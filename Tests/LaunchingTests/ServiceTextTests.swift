import Launching
import Testing

/// What is written, and run, on each machine.
struct ServiceTextTests {
  private func cluster() throws -> Cluster {
    try Cluster(
      text: """
        name: first
        hosts:
          - { host: a, role: coordinator, address: 10.0.0.1, port: 6000 }
          - { host: b, role: worker, threads: 8, data: pictures, address: "fd00::2", port: 5580 }
          - { host: c, role: memory, storage: 64GiB }
        """, file: "h.yaml")
  }

  @Test func eachRoleGetsItsOwnArguments() throws {
    let cluster = try cluster()
    let run = RunArguments(data: "/data", run: "runs/x", flags: ["--batch-size", "16"], hasRecipe: true)
    let lines = cluster.hosts.map {
      cluster.arguments(of: $0, home: "/home/me", coordinatorKey: "abc", run: run).joined(separator: " ")
    }
    let folder = "/home/me/.massl/first"
    #expect(
      lines == [
        "coordinator --data /data --run /home/me/runs/x --listen tcp://0.0.0.0:6000 --key \(folder)/a/key --allowed-keys "
          + "\(folder)/a/allowed.txt --config \(folder)/a/recipe.yaml --batch-size 16",
        "worker --coordinator tcp://10.0.0.1:6000 --coordinator-key abc --key \(folder)/b/key --allowed-keys "
          + "\(folder)/b/allowed.txt --listen tcp://[::]:5580 --advertise tcp://[fd00::2]:5580 --host b --threads 8 --data "
          + "/home/me/pictures",
        "memory --directory \(folder)/c/rows --capacity 64GiB --coordinator tcp://10.0.0.1:6000 --coordinator-key abc "
          + "--key \(folder)/c/key --allowed-keys \(folder)/c/allowed.txt --listen tcp://0.0.0.0:0 --advertise tcp://c:0 "
          + "--host c",
      ])
  }

  @Test func theFirstWeightsAreAFileOfTheCoordinatorsMachine() throws {
    let cluster = try cluster()
    let run = RunArguments(data: "d", run: "r", initialWeights: "dino.safetensors", flags: [], hasRecipe: false)
    let lines = cluster.hosts.map {
      cluster.arguments(of: $0, home: "/home/me", coordinatorKey: "abc", run: run).joined(separator: " ")
    }
    #expect(lines[0].hasSuffix("/allowed.txt --init /home/me/dino.safetensors"))
    #expect(!lines[1].contains("--init") && !lines[2].contains("--init"))
  }

  @Test func sshAsksForNothingAndTakesNoHostForAFlag() throws {
    let host = try cluster().hosts[1]
    let arguments = RemoteCommand.installed(in: ".massl/first/b", ["status", "--run", "my run's"])
      .arguments(on: host, configuration: "c")
    #expect(arguments.contains("BatchMode=yes") && arguments.contains("ConnectTimeout=10"))
    #expect(Array(arguments.suffix(3).prefix(2)) == ["--", "b"])
    #expect(arguments.contains("-F"))
  }

  @Test func aProbeIsReadPastWhatALoginSays() {
    let probe = HostProbe(
      """
      Welcome to massl-probe land!
      massl-probe home /home/me
      massl-probe machine x86_64
      massl-probe program there
      massl-probe missing libzmq.so.5
      massl-probe missing libodd.so.1
      massl-probe version 0.1.0, unreleased
      massl-probe version abc
      """)
    #expect(probe?.home == "/home/me" && probe?.machine == "x86_64" && probe?.hasProgram == true)
    #expect(probe?.version == "0.1.0, unreleased, commit abc")
    let error = LaunchError.missingLibraries(host: "b", probe?.missingLibraries ?? [])
    #expect(
      "\(error)" == "b: massl needs libraries that are not there: libzmq.so.5, libodd.so.1. On Debian: apt-get install "
        + "libzmq5. Find the packages that have libodd.so.1.")
    #expect(HostProbe("") == nil && HostProbe("massl-probe home there\nmassl-probe machine x") == nil)
  }

  @Test func librariesOfNoPackageAreCopied() {
    let text = """
      \tlinux-vdso.so.1 (0x00007f)
      \tlibzmq.so.5 => /lib/x86_64-linux-gnu/libzmq.so.5 (0x00007f)
      \tlibswiftCore.so => /opt/swift/usr/lib/swift/linux/libswiftCore.so (0x00007f)
      \tlibgone.so => not found
      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)
      """
    #expect(LibraryPackages.unpackaged(in: text) == ["/opt/swift/usr/lib/swift/linux/libswiftCore.so"])
  }

  @Test(arguments: [
    ("ssh: Could not resolve hostname b: Name or service not known", SSHFailure.unknownName),
    ("ssh: connect to host b port 22: Connection refused", .refused),
    ("ssh: connect to host b port 22: Connection timed out", .silent),
    ("ssh: connect to host b port 22: No route to host", .silent),
    ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", .otherHostKey),
    (
      "No ED25519 host key is known for b and you have requested strict checking.\nHost key verification failed.",
      .unknownHostKey
    ),
    (
      "@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nPermissions 0644 for 'id' are too open.\nme@b: Permission denied (publickey).",
      .openKey
    ),
    ("no such identity: /no: No such file or directory\nme@b: Permission denied (publickey).", .missingKey),
    ("me@b: Permission denied (publickey).", .notLetIn), ("odd\nmux: odd\u{1b}", .other("mux: odd\u{1b}")),
    ("", .other("ssh ended without a word")),
  ])
  func sshsWordsAreUnderstood(errors: String, failure: SSHFailure) {
    #expect(SSHFailure(errors) == failure)
    let sentence = "\(LaunchError.unreachable(host: "b", failure))"
    #expect(sentence.hasPrefix("b: ") && !sentence.contains("\u{1b}"))
  }

  @Test func theReasonIsFoundAmongTheWords() {
    #expect(
      RemoteCommand.reason(in: "tar: x: Cannot write: No space left on device\ntar: Exiting", code: 2).contains("full"))
    #expect(RemoteCommand.reason(in: "Error: It is so.\nbye", code: 1) == "It is so.")
    #expect(RemoteCommand.reason(in: "a\nb\n", code: 1) == "b")
    #expect(RemoteCommand.reason(in: "", code: 9).contains("exit code 9"))
  }

  @Test func cronHasALineOnceAndOthersStay() throws {
    let service = ServiceDescription(
      cluster: "first", name: "b", role: .worker, program: "/home/m e/massl", arguments: [])
    let others = "MAILTO=me\n5 * * * * true\n@reboot /other service start /home/me/.massl/first/bb --at-boot\n"
    let table = try #require(BootTable.adding(service, folder: "/home/me/.massl/first/b", to: others))
    #expect(
      table == others
        + "@reboot '/home/m e/massl' service start /home/me/.massl/first/b --at-boot >/dev/null 2>&1\n")
    #expect(BootTable.adding(service, folder: "/home/me/.massl/first/b", to: table) == nil)
    var newer = service
    newer.program = "/new/mas%sl"
    let renewed = try #require(BootTable.adding(newer, folder: "/home/me/.massl/first/b", to: table))
    #expect(
      renewed == others + "@reboot /new/mas\\%sl service start /home/me/.massl/first/b --at-boot >/dev/null 2>&1\n")
    #expect(BootTable.removing(folder: "/home/me/.massl/first/b", from: renewed) == others)
    #expect(BootTable.removing(folder: "/home/me/.massl/first/b", from: others) == nil)
  }

  @Test func aUnitQuotesWhatSystemdWouldRead() {
    let service = ServiceDescription(
      cluster: "first", name: "b", role: .worker, program: "/home/m%e/$a \"massl\"", arguments: [])
    let unit = UserUnit(service, folder: "/f o")
    #expect(unit.name == "massl-first-b.service")
    #expect(unit.text.contains("ExecStart=\"/home/m%%e/$$a \\\"massl\\\"\" \"service\" \"run\" \"/f o\"\n"))
    #expect(unit.text.contains("RestartPreventExitStatus=64 65\n"))
  }

  @Test func keysOfHostsThatDoNotAnswerStay() {
    let old = AllowedKeysText(text: "# words\n11 a\n22 b\n33 gone\nodd line here\n")
    #expect(old.keys == ["a": "11", "b": "22", "gone": "33"])
    let new = old.updated(by: ["b": "44", "c": "55"], names: ["a", "b", "c"])
    #expect(new.keys == ["a": "11", "b": "44", "c": "55"])
    #expect(AllowedKeysText(text: new.text) == new)
  }
}
