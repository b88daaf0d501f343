// Package e2e is the end-to-end test: bin/labctl, called as a user calls it, with a real VBoxManage and machines that boot. It
// holds tests only, behind the build tag e2e, and is run by .ci/e2e.sh, which prepares VirtualBox, the guests' image and
// namespaces of its own:
//
//	make e2e
//	.ci/e2e.sh -test.run Story
//
// story_test.go is one lab's life, in order. lab_test.go is how the tests call labctl, VBoxManage and the guests. Folder
// front holds the program that stands before VBoxManage where VirtualBox's kernel modules cannot be loaded; labctl doesn't
// know of it.
package e2e
