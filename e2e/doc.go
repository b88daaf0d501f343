// Package e2e is the end-to-end test: bin/labctl, called as a user calls it, with a real VBoxManage and machines that boot. It
// holds tests only, behind the build tag e2e, and is run by .ci/e2e.sh, which prepares VirtualBox, the guests' image and
// namespaces of its own:
//
//	make e2e
//	.ci/e2e.sh -test.run Story
//
// story_test.go is the lives of two labs, in order, k3s_test.go the part of it that needs k3s or a stand-in for it, trouble_test.go what goes
// wrong around it (make e2e-full). lab_test.go is how the tests call labctl, VBoxManage and the guests. Folder front holds the program
// that stands before VBoxManage where VirtualBox's kernel modules cannot be loaded, folder standin the one that takes k3s's place where
// there is none; labctl doesn't know of either.
package e2e
