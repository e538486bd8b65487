# One transaction: it is done once, and before any apiserver of this epoch. Set: MARK.
ctl txn <<END >/dev/null
create("$MARK") = "0"

del --prefix /registry/masterleases/
del --prefix /registry/leases/kube-node-lease/
del --prefix /registry/leases/kube-system/apiserver-
del /registry/leases/kube-system/kube-controller-manager
del /registry/leases/kube-system/kube-scheduler
del --prefix rekindle/snapshot/
put $MARK done


END
