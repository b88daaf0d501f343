package vbox

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestArgs holds every call that the package can make, for each system, to a golden file.
func TestArgs(t *testing.T) {
	for goos, base := range map[string]string{
		"linux": "/home/me/.local/share/labctl/lab/", "darwin": "/Users/me/.local/share/labctl/lab/", "windows": `C:\Users\me\labctl\lab\`,
	} {
		t.Run(goos, func(t *testing.T) {
			everything := MachineSpec{
				Name: "lab-cp1", Group: "/labctl/lab", BaseFolder: base + "vms", OSType: "Ubuntu_64",
				OwnerKey: "labctl/lab", Owner: "lab 1f00", CPUs: 2, MemoryMiB: 2048,
				NATMAC: "08:00:27:4d:69:be", HostOnlyMAC: "08-00-27-BA-A0-FB", HostOnlyNetwork: "vboxnet0", SSHPort: 2210,
				BaseDisk: base + "base.vdi", Disk: base + "cp1.vdi", Seed: base + "cp1.iso", SerialLog: base + "cp1.log",
			}
			defaults := MachineSpec{CPUs: 1, MemoryMiB: 512, SerialLog: "LOG", HostOnlyNetwork: "NET"}
			host := netip.MustParsePrefix("192.168.56.1/24")
			rule := Forward{Name: "ssh", Proto: "tcp", HostIP: "127.0.0.1", HostPort: 2210, GuestPort: 22}
			s := everything
			calls := []args{
				versionArgs(), listMachinesArgs(), listRunningArgs(), listDisksArgs(), listDVDsArgs(), showMachineArgs("ID"),
				createMachineArgs(s),
				modifyArgs("ID", changes(nil, settings(s, goos))),
				modifyArgs("ID", changes(nil, settings(defaults, goos))),
				addForwardArgs("ID", 1, rule), deleteForwardArgs("ID", 1, "ssh"),
				unregisterArgs("ID"), forgetArgs("ID"),
				addControllerArgs("ID"), attachDiskArgs("ID", s.Disk), attachDVDArgs("ID", s.Seed), detachArgs("ID", "SATA", "0", "0"),
				createLinkedDiskArgs(s.Disk, s.BaseDisk), showDiskArgs(s.Disk), showDVDArgs(s.Seed),
				closeDiskArgs(s.BaseDisk), deleteDiskArgs(s.Disk), closeDVDArgs(s.Seed),
				convertRawArgs(base+"raw.img", s.BaseDisk), cloneDiskArgs(base+"cow.img", s.BaseDisk), resizeDiskArgs(s.BaseDisk, 20480),
				setDiskUUIDArgs(s.BaseDisk + ".part.vmdk"),
				getExtraDataArgs("ID", "labctl/lab"), setExtraDataArgs("ID", "labctl/lab", "lab 1f00"), deleteExtraDataArgs("global", "labctl/net"),
				startArgs("ID"), resumeArgs("ID"), powerButtonArgs("ID"), powerOffArgs("ID"), discardStateArgs("ID"),
				linkArgs("ID", 2, false), cableArgs("ID", 2, true),
				listSnapshotsArgs("ID"), takeSnapshotArgs("ID", "clean", "all is well"), restoreSnapshotArgs("ID", "clean"), deleteSnapshotArgs("ID", "clean"),
			}
			if goos == "darwin" {
				calls = append(calls, listHostOnlyNetArgs(), createHostOnlyNetArgs("labctl-192-168-56-0", host),
					addressHostOnlyNetArgs("labctl-192-168-56-0", host), removeHostOnlyNetArgs("labctl-192-168-56-0"))
			} else {
				calls = append(calls, listHostOnlyIfArgs(), createHostOnlyIfArgs(),
					addressHostOnlyIfArgs("vboxnet0", host), removeHostOnlyIfArgs("vboxnet0"))
			}
			got := "# synthetic: every call of VBoxManage on " + goos + ", one per line, words in quotes\n"
			for _, a := range calls {
				got += strings.Trim(fmt.Sprintf("%q", []string(a)), "[]") + "\n"
			}
			golden(t, filepath.Join("testdata", "args", goos+".golden"), got)
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// TestEveryBuilderIsGolden fails for a builder that TestArgs does not call.
func TestEveryBuilderIsGolden(t *testing.T) {
	parse := func(name string) *ast.File {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	called := map[string]bool{}
	ast.Inspect(parse("args_test.go"), func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if id, ok := call.Fun.(*ast.Ident); ok {
				called[id.Name] = true
			}
		}
		return true
	})
	builders := 0
	for _, d := range parse("args.go").Decls {
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasSuffix(f.Name.Name, "Args") {
			builders++
			if !called[f.Name.Name] {
				t.Errorf("%s is in no golden file", f.Name.Name)
			}
		}
	}
	if builders < 35 {
		t.Errorf("only %d builders found", builders)
	}
}

func TestChanges(t *testing.T) {
	want := []setting{value("memory", "--memory", "2048"), value("cpus", "--cpus", "2")}
	for name, test := range map[string]struct {
		have map[string]string
		want []string
	}{
		"same":       {map[string]string{"memory": "2048", "cpus": "2"}, nil},
		"one":        {map[string]string{"memory": "1024", "cpus": "2"}, []string{"--memory", "2048"}},
		"everything": {nil, []string{"--memory", "2048", "--cpus", "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, changes(test.have, want)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNetmask(t *testing.T) {
	for bits, want := range map[int]string{0: "0.0.0.0", 8: "255.0.0.0", 21: "255.255.248.0", 24: "255.255.255.0", 32: "255.255.255.255"} {
		if got := Netmask(bits); got != want {
			t.Errorf("Netmask(%d) = %s, want %s", bits, got, want)
		}
	}
}
