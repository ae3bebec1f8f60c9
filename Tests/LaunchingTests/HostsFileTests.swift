import Launching
import Testing

struct HostsFileTests {
  private static let good = """
    name: first
    hosts:
      - host: nodea
        role: coordinator
        address: 10.0.0.1
      - { host: nodeb, role: worker, threads: 8, user: me, port: 5580, data: /pictures }
      - { host: nodec, name: shard-1, role: memory, storage: 64GiB, address: "fd00::3", program: /opt/massl }
    """

  @Test func aFileIsReadAsWritten() throws {
    let cluster = try Cluster(text: Self.good, file: "hosts.yaml")
    #expect(cluster.name == "first" && cluster.hosts.map(\.name) == ["nodea", "nodeb", "shard-1"])
    #expect(cluster.hosts.map(\.role) == [.coordinator, .worker, .memory])
    #expect(cluster.coordinatorAddress == "tcp://10.0.0.1:5570")
    let (worker, shard) = (cluster.hosts[1], cluster.hosts[2])
    #expect(worker.address == "nodeb" && worker.threads == 8 && worker.user == "me" && worker.port == 5580)
    #expect(shard.storage == "64GiB" && shard.program == "/opt/massl" && shard.host == "nodec")
  }

  /// What stands in place of the second host, and what is said of it.
  @Test(arguments: [
    ("{ host: b, role: wroker }", "h.yaml, line 6: b has the role 'wroker', which there is not. Did you mean worker?"),
    (
      "{ host: b, role: king }",
      "h.yaml, line 6: b has the role 'king', which there is not. There are: coordinator, worker, memory."
    ),
    ("{ host: b, role: worker, treads: 4 }", "h.yaml, line 6: there is no key 'treads'. Did you mean threads?"),
    (
      "{ host: b, role: worker, colour: red }",
      "h.yaml, line 6: there is no key 'colour'. There are: host, role, name, user, address, port, threads, storage, data, "
        + "program."
    ),
    ("{ host: nodea, role: worker }", "h.yaml: two hosts are called nodea (lines 3 and 6)."),
    ("{ host: b, role: coordinator }", "h.yaml: nodea and b are coordinators. A run has one."),
    (
      "{ host: b, role: worker, threads: none }",
      "h.yaml, line 6: threads of b must be a whole number from 1 on, not 'none'."
    ),
    (
      "{ host: b, role: worker, port: 65535 }", "h.yaml, line 6: port of b must be a port from 1 to 65534, not '65535'."
    ),
    ("{ host: b, role: memory }", "h.yaml, line 6: b needs a key 'storage'."),
    ("{ host: b, role: memory, storage: much }", "h.yaml, line 6: storage of b must be bytes, as 64GiB, not 'much'."),
    ("{ host: b, role: memory, storage: 1GiB, threads: 2 }", "threads is of a worker, and b is a memory. Take it out."),
    ("{ role: worker }", "h.yaml, line 6: it needs a key 'host'."),
    ("{ host: b }", "h.yaml, line 6: b needs a key 'role'."),
    (
      "{ host: -oProxyCommand=reboot, role: worker }",
      "host must be what ssh takes as a host, not '-oProxyCommand=reboot'."
    ),
    ("{ host: b, user: -x, role: worker }", "user of b must be a user's name, not '-x'."),
    (
      "{ host: b, name: ../x, role: worker }",
      "name of b must be letters, digits, '.', '-' and '_', at most 64, not '../x'."
    ),
    ("{ host: b, address: 'a b', role: worker }", "address of b must be a name or an address that the other machines"),
    ("{ host: b, program: bin/massl, role: worker }", "program of b must be a path from the root on, not 'bin/massl'."),
    ("worker", "h.yaml, line 6 is no hosts file: a host needs keys: host and role at least."),
  ])
  func whatIsWrongIsNamedWithItsLine(entry: String, sentence: String) {
    let text = "name: first\nhosts:\n  - host: nodea\n    role: coordinator\n    # a comment\n  - \(entry)\n"
    #expect {
      _ = try Cluster(text: text, file: "h.yaml")
    } throws: { error in
      let isSo = "\(error)".contains(sentence)
      if !isSo { print(error) }
      return isSo
    }
  }

  @Test(arguments: [
    ("", "h.yaml is no hosts file: it has no keys 'name' and 'hosts'."),
    ("hosts: []", "h.yaml, line 1: it needs a key 'name'."), ("name: a", "h.yaml, line 1: it needs a key 'hosts'."),
    ("name: a\nhosts: []", "h.yaml: no host has the role coordinator. One must."),
    ("name: a\nnmae: b", "h.yaml, line 2: there is no key 'nmae'. Did you mean name?"),
    ("name: a\nhosts: [", "h.yaml, line 3 is no hosts file: did not find expected node content."),
    ("name: /etc\nhosts: []", "name must be letters"),
    ("a: &a [1]\nb: *a", "h.yaml, line 1 is no hosts file: it names a part of itself with '&'"),
    ("name: a\nname: b", "h.yaml is no hosts file: name is given twice."),
  ])
  func aFileOfAnotherFormIsRefused(text: String, sentence: String) {
    #expect {
      _ = try Cluster(text: text, file: "h.yaml")
    } throws: { error in
      let isSo = "\(error)".contains(sentence)
      if !isSo { print(error) }
      return isSo
    }
  }

  @Test func aMistypedHostGetsTheNearestOffered() throws {
    let cluster = try Cluster(text: Self.good, file: "h.yaml")
    #expect(try cluster.host(named: "nodeb", file: "h.yaml").role == .worker)
    #expect {
      _ = try cluster.host(named: "noddeb", file: "h.yaml")
    } throws: { "\($0)" == "h.yaml has no host 'noddeb'. Did you mean nodeb?" }
    #expect {
      _ = try Cluster(contentsOf: "/nowhere/h.yaml")
    } throws: { "\($0)" == "Cannot read the hosts file /nowhere/h.yaml: there is no such file." }
  }
}
